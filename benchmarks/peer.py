"""The peer's side: torchreid's HACNN and ranking, in PyTorch. `compare.py` asks it, in the peers' environment.

    python peer.py TORCHREID

TORCHREID is the unpacked source distribution; its files are loaded by path, as its package needs more than they do.
"""

import base64
import functools
import importlib.util
import io
import sys
import warnings

import numpy as np
import torch
from PIL import Image
from worker import seconds, serve

warnings.filterwarnings("ignore")
SOURCE = sys.argv[1]
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
MEAN, STD = np.array([123.675, 116.28, 103.53], np.float32), np.array([58.395, 57.12, 57.375], np.float32)
IDENTITIES = 767


def load(path):
    spec = importlib.util.spec_from_file_location(path.replace("/", "_"), f"{SOURCE}/torchreid/reid/{path}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


torch._dynamo.config.recompile_limit = 64  # beyond its 8 it would run uncompiled, without a word


@functools.cache
def network(channels_last, compiled, *kind):
    """The network, as it is called, and its optimizer (the paper's); compiled once for each kind of call."""
    net = load("models/hacnn").HACNN(IDENTITIES, use_gpu=DEVICE == "cuda").to(DEVICE)
    if channels_last:
        net = net.to(memory_format=torch.channels_last)
    return net, torch.compile(net, dynamic=False) if compiled else net, torch.optim.Adam(net.parameters(), 5e-4)


def batch(size, channels_last):
    images = torch.rand(size, 3, 160, 64, device=DEVICE)
    return images.contiguous(memory_format=torch.channels_last) if channels_last else images


def finished():
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def autocast(precision):
    return torch.autocast(DEVICE, torch.bfloat16, enabled=precision == "bfloat16")


def settings(tf32):
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32


def train(size, precision, repeats, channels_last=False, compiled=False, tf32=False):
    settings(tf32)
    net, run, optimizer = network(channels_last, compiled, "train", size, precision, tf32)
    net.train()
    images, labels = batch(size, channels_last), torch.randint(0, IDENTITIES, (size,), device=DEVICE)
    entropy = torch.nn.functional.cross_entropy

    def step():
        optimizer.zero_grad()
        with autocast(precision):
            loss = sum(entropy(logits.float(), labels) for logits in run(images))
        loss.backward()
        optimizer.step()
        loss.item()

    if run not in WARM:
        step(), step()
        WARM.add(run)
    return {"per_second": size / seconds(step, repeats)}


def extract(size, precision, repeats, channels_last=False, compiled=False, tf32=False):
    settings(tf32)
    net, run, _ = network(channels_last, compiled, "extract", size, precision, tf32)
    net.eval()
    images = batch(size, channels_last)

    def features():
        with torch.inference_mode(), autocast(precision):
            run(images)
        finished()

    features(), features()
    return {"per_second": size / seconds(features, repeats)}


def to_onnx(path):
    """Writes the network of features as an ONNX file, from float images of channels first, for any number of them."""
    net, _, _ = network(False, False)
    sizes = {0: torch.export.Dim("N", min=1, max=4096)}
    torch.onnx.export(net.eval().cpu(), (batch(2, False).cpu(),), path, dynamo=True, dynamic_shapes=(sizes,))
    return {}


def latency(encoded, repeats):
    net, run, _ = network(False, False)
    net.eval()
    content = base64.b64decode(encoded)

    def feature():
        image = Image.open(io.BytesIO(content)).convert("RGB").resize((64, 160), Image.BILINEAR)
        pixels = (np.asarray(image, np.float32) - MEAN) / STD
        with torch.inference_mode():
            run(torch.from_numpy(pixels).permute(2, 0, 1)[None].to(DEVICE)).cpu().numpy()

    feature(), feature()
    return {"seconds": seconds(feature, repeats)}


def ranking(path, whole):
    """Distances, argsort and the table of matches, with which all its rankings begin; `whole`: to the end."""
    arrays = np.load(path)
    query, gallery = (torch.from_numpy(arrays[name]) for name in ("query", "gallery"))
    pids = arrays["query_pids"], arrays["gallery_pids"]
    camids = arrays["query_camids"], arrays["gallery_camids"]
    distance = load("metrics/distance").euclidean_squared_distance

    def work():
        distances = distance(query, gallery).numpy()
        if whole:
            load("metrics/rank").eval_market1501(distances, *pids, *camids, 50)
        else:
            order = np.argsort(distances, axis=1)
            (pids[1][order] == pids[0][:, None]).astype(np.int32)

    return {"seconds": seconds(work, 1)}


def sgemm(size, repeats, precision, tf32):
    settings(tf32)
    a, b = (torch.rand(size, size, device=DEVICE).to(getattr(torch, precision)) for _ in range(2))

    def work():
        a @ b
        finished()

    work()
    return {"gflops": 2 * size**3 / seconds(work, repeats) / 1e9}


def machine():
    device = torch.cuda.get_device_name() if DEVICE == "cuda" else "CPU"
    return {"torch": torch.__version__, "threads": torch.get_num_threads(), "device": device}


WARM = set()
serve({f.__name__: f for f in (train, extract, to_onnx, latency, ranking, sgemm, machine)})
