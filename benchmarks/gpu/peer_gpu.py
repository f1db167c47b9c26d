"""torchreid's HACNN by a recipe of ours on a GPU: the batches, rates and decay of a training that `programs.py` wrote.

    python benchmarks/gpu/peer_gpu.py TRAINING RESULTS TORCHREID [--eager]

TRAINING is a folder in the one that `programs.py` wrote; the first of its trainings is taken. TORCHREID is torchreid's
unpacked source distribution. Needs PyTorch beside what `programs_gpu.py` needs. The step is captured as a CUDA graph,
so that the GPU does not wait for Python, unless --eager. RESULTS/log.jsonl is as that of `programs_gpu.py`.
"""

import argparse
import copy
import tempfile
from pathlib import Path

import numpy as np
import programs_gpu
import torch

from benchmarks import peer_network  # programs_gpu has put the checkout on the path
from hacnn_tf.training.schedule import Schedule


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("training", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("torchreid", type=Path)
    parser.add_argument("--eager", action="store_true")
    args = parser.parse_args()
    args.results.mkdir(parents=True, exist_ok=True)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = True
    with tempfile.TemporaryDirectory() as work:
        programs_gpu.decode(args.training.parent / "images.npz", Path(work))
        data = programs_gpu.Data(args.training, Path(work))
        settings = data.trainings[0]
        if settings.recipe.triplet or not settings.local or settings.precision != "mixed_bfloat16":
            raise SystemExit("The peer has two branches and no triplet loss, and trains in mixed_bfloat16 here.")
        peer = Peer(args.torchreid, settings, data.identities, args.eager)
        name = f"torchreid-{settings.run_name}"  # so that `programs.py --read` takes it for no run of ours
        programs_gpu.train(data, settings, peer.learn, peer.features, args.results / "log.jsonl", name)


class Peer:
    """torchreid's HACNN and its optimizer, AdamW as `hacnn_tf.training.loop` makes it, in autocast bfloat16."""

    def __init__(self, source, settings, identities, eager):
        self._net = peer_network.build(source, identities, "cuda", settings.seed).to(memory_format=torch.channels_last)
        self._net.scale_factors = [factors.cuda() for factors in self._net.scale_factors]
        torch.set_default_device("cuda")  # it makes its transformations where tensors are made if nothing is said
        decays = peer_network.decay_groups(self._net, settings.recipe.weight_decay)
        self._rate = torch.zeros(())
        self._optimizer = torch.optim.AdamW(decays, self._rate, betas=(0.9, 0.999), eps=1e-8, capturable=True)
        self._settings, self._done, self._schedule = settings, 0, None
        self._smoothing = settings.recipe.label_smoothing
        self._images = torch.zeros(settings.batch_size, 160, 64, 3, dtype=torch.uint8)
        self._labels = torch.zeros(settings.batch_size, dtype=torch.int64)
        self._results = torch.zeros(3)
        self._run = self._step if eager else self._captured()

    def learn(self, images, labels):
        """An epoch: see `programs_gpu.train`."""
        self._net.train()
        self._schedule = self._schedule or Schedule(self._settings.recipe, len(labels) * self._settings.epochs)
        steps = np.arange(self._done, self._done + len(labels))
        rates = np.broadcast_to(self._schedule(steps), steps.shape).copy()  # a constant one is a number
        epoch = [torch.from_numpy(x).cuda() for x in (images, labels.astype(np.int64), rates)]
        results = torch.zeros(len(labels), 3)
        for i, (x, y, rate) in enumerate(zip(*epoch, strict=True)):
            self._images.copy_(x)
            self._labels.copy_(y)
            self._rate.copy_(rate)
            self._run()
            results[i] = self._results
        self._done += len(labels)
        return results.cpu().numpy()

    def features(self, images):
        """Features of a batch of uint8 images."""
        self._net.eval()
        with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16, cache_enabled=False):
            return self._net(peer_network.normalized(torch.from_numpy(images).cuda())).float().cpu().numpy()

    def _step(self):
        self._optimizer.zero_grad(set_to_none=False)
        with torch.autocast("cuda", torch.bfloat16, cache_enabled=False):
            logits = [z.float() for z in self._net(peer_network.normalized(self._images))]
        entropy = torch.nn.functional.cross_entropy
        losses = [entropy(z, self._labels, label_smoothing=self._smoothing) for z in logits]
        sum(losses).backward()
        self._optimizer.step()
        accuracy = (sum(logits).argmax(-1) == self._labels).float().mean()
        self._results.copy_(torch.stack([*losses, accuracy]).detach())

    def _captured(self):
        """The step as a CUDA graph; what trying it has changed is undone."""
        fresh = copy.deepcopy(self._net.state_dict())
        self._net.train()
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self._step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._step()
        self._net.load_state_dict(fresh)
        for state in self._optimizer.state.values():
            for value in state.values():
                value.zero_()
        return graph.replay


if __name__ == "__main__":
    main()
