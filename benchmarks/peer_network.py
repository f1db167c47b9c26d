"""torchreid's HACNN and OSNet as they are compared: their files, the pixels they take, and what of them decays."""

import functools
import importlib.util

import torch

INPUT_SIZE = (160, 64)  # pixels that its HACNN takes, and no others
UNDECAYED = ("spatial_attn.", "hard_attn.")  # as of hacnn_tf.training.loop


def load(source, path):
    """A module of torchreid's unpacked source distribution, by its file: its package needs more than they do."""
    spec = importlib.util.spec_from_file_location(path.replace("/", "_"), f"{source}/torchreid/reid/{path}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build(source, identities, device, seed=None, name="hacnn"):
    """A `HACNN`, or of the file of OSNets the one of this name, with fresh weights, as a seed draws them if any."""
    if seed is not None:
        torch.manual_seed(seed)
    if name == "hacnn":
        net = load(source, "models/hacnn").HACNN(identities, use_gpu=device == "cuda")
    else:
        net = getattr(load(source, "models/osnet"), name)(identities, pretrained=False)
    return net.to(device)


def logits(net, images):
    """What each of its classifiers says of images, as a tuple: HACNN has two, OSNet one."""
    found = net(images)
    return found if isinstance(found, tuple) else (found,)


def decay_groups(net, weight_decay):
    """Its parameters, as AdamW decays what `hacnn_tf.training.loop` decays."""
    groups = {True: [], False: []}
    for name, parameter in net.named_parameters():
        groups[parameter.ndim > 1 and not any(part in name for part in UNDECAYED)].append(parameter)
    return [{"params": group, "weight_decay": weight_decay * decayed} for decayed, group in groups.items()]


def normalized(images):
    """A uint8 tensor `(n, height, width, 3)` as the network takes it: float32, channels first, but last in memory."""
    mean, std = _statistics(images.device)
    return ((images - mean) / std).permute(0, 3, 1, 2)


@functools.cache
def _statistics(device):
    return [torch.tensor(values, device=device) for values in ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])]
