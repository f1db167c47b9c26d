"""The peer's side: torchreid's HACNN, OSNet and ranking, in PyTorch. `compare.py` asks it, in the peers' environment.

    python peer.py TORCHREID

TORCHREID is the unpacked source distribution.
"""

import base64
import copy
import functools
import io
import os
import sys
import time
import warnings

import numpy as np
import peer_network
import torch
from PIL import Image
from worker import seconds, serve, warmed

warnings.filterwarnings("ignore")
SOURCE = sys.argv[1]
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
IDENTITIES = 767
torch._dynamo.config.recompile_limit = 64  # beyond its 8 it would run uncompiled, without a word


@functools.cache
def network(name, channels_last, compiled, *kind):
    """A network, as it is called, and its optimizer (the paper's); compiled once for each kind of call."""
    net = peer_network.build(SOURCE, IDENTITIES, DEVICE, name=name)
    if channels_last:
        net = net.to(memory_format=torch.channels_last)
    return net, torch.compile(net, dynamic=False) if compiled else net, torch.optim.Adam(net.parameters(), 5e-4)


def batch(size, channels_last, input_size=peer_network.INPUT_SIZE):
    images = torch.rand(size, 3, *input_size, device=DEVICE)
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
    net, run, optimizer = network("hacnn", channels_last, compiled, "train", size, precision, tf32)
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
        warmed(step)
        WARM.add(run)
    return {"per_second": size / seconds(step, repeats)}


def extract(
    size,
    precision,
    repeats,
    channels_last=False,
    compiled=False,
    tf32=False,
    name="hacnn",
    input_size=peer_network.INPUT_SIZE,
):
    settings(tf32)
    net, run, _ = network(name, channels_last, compiled, "extract", size, precision, tf32, *input_size)
    net.eval()
    images = batch(size, channels_last, input_size)

    def features():
        with torch.inference_mode(), autocast(precision):
            run(images)
        finished()

    return {"per_second": size / seconds(warmed(features), repeats)}


@functools.cache
def learner(identities, weight_decay, seed, name="hacnn"):
    """A network to train for real, and its optimizer: Adam as `hacnn_tf.training.loop` makes it.

    Not compiled: torch.compile gained 7% in float32, and in bfloat16 had not ended after five minutes.
    """
    net = peer_network.build(SOURCE, identities, DEVICE, seed, name).to(memory_format=torch.channels_last)
    return net, torch.optim.AdamW(peer_network.decay_groups(net, weight_decay), betas=(0.9, 0.999), eps=1e-8)


def normalized(images):
    """A uint8 array `(n, height, width, 3)` as the network takes it."""
    return peer_network.normalized(torch.from_numpy(images).to(DEVICE))


def learn(path, precision, smoothing, network):
    """An epoch on the batches in a file; gives the means of its losses, and the speed in images a second."""
    net, optimizer = learner(**network)
    net.train()
    batches, sums, start = np.load(path), 0, time.perf_counter()
    images, labels, rates = (batches[name] for name in ("images", "labels", "rates"))
    for x, y, rate in zip(images, torch.from_numpy(labels).to(DEVICE), rates, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = float(rate)  # a number of NumPy's is refused when a state is loaded
        optimizer.zero_grad()
        with autocast(precision):
            logits = peer_network.logits(net, normalized(x))
        losses = [torch.nn.functional.cross_entropy(z.float(), y, label_smoothing=smoothing) for z in logits]
        sum(losses).backward()
        optimizer.step()
        sums += np.array([loss.item() for loss in losses])
    speed = labels.size / (time.perf_counter() - start)
    losses = dict(zip(("global_loss", "local_loss"), sums / len(rates), strict=False))  # OSNet's is the global one
    return {**losses, "images_per_second": speed}


def embed(path, precision, network):
    """Replaces the images in a file by their features."""
    net, _ = learner(**network)
    net.eval()
    images = np.load(path)
    with torch.inference_mode(), autocast(precision):
        found = [net(normalized(images[i : i + 64])).float().cpu().numpy() for i in range(0, len(images), 64)]
    np.save(path, np.concatenate(found))
    return {}


def save(path, epochs, training, network):
    states = [part.state_dict() for part in learner(**network)]
    kept = {"network": network, "training": training, "epochs": epochs, "states": states}
    torch.save(kept, f"{path}.part")
    os.replace(f"{path}.part", path)
    return {}


def restore(path, training, network):
    kept = torch.load(path, map_location=DEVICE, weights_only=True)
    if (kept["network"], kept.get("training")) != (network, training):
        raise ValueError(f"{path} is of another training: name another folder with --output")
    for part, state in zip(learner(**network), kept["states"], strict=True):
        part.load_state_dict(state)
    return {"epochs": kept["epochs"]}


def to_onnx(path, name="hacnn", input_size=peer_network.INPUT_SIZE):
    """Writes a network of features as an ONNX file, from float images of channels first, for any number of them."""
    net, _, _ = network(name, False, False)
    images, sizes = batch(2, False, input_size).cpu(), {0: torch.export.Dim("N", min=1, max=4096)}
    torch.onnx.export(copy.deepcopy(net).eval().cpu(), (images,), path, dynamo=True, dynamic_shapes=(sizes,))
    return {}


def latency(encoded, repeats):
    net, run, _ = network("hacnn", False, False)
    net.eval()
    content = base64.b64decode(encoded)

    def feature():
        image = Image.open(io.BytesIO(content)).convert("RGB").resize((64, 160), Image.BILINEAR)
        with torch.inference_mode():
            run(normalized(np.array(image)[None]).contiguous()).cpu().numpy()

    return {"seconds": seconds(warmed(feature), repeats)}


def ranking(path, whole):
    """Distances, argsort and the table of matches, with which all its rankings begin; `whole`: to the end."""
    arrays = np.load(path)
    query, gallery = (torch.from_numpy(arrays[name]) for name in ("query", "gallery"))
    pids = arrays["query_pids"], arrays["gallery_pids"]
    camids = arrays["query_camids"], arrays["gallery_camids"]
    distance = peer_network.load(SOURCE, "metrics/distance").euclidean_squared_distance

    def work():
        distances = distance(query, gallery).numpy()
        if whole:
            peer_network.load(SOURCE, "metrics/rank").eval_market1501(distances, *pids, *camids, 50)
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
    return {"torch": torch.__version__, "device": device}


WARM = set()
WORKS = (train, extract, learn, embed, save, restore, to_onnx, latency, ranking, sgemm, machine)
serve({work.__name__: work for work in WORKS})
