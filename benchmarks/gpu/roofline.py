"""What two GPUs' data sheets allow at most: the network's programs, counted as XLA gets them, on the cards' limits.

    python benchmarks/gpu/roofline.py

Needs no GPU. Counts the program that XLA gets, before it optimises: FLOPs of convs and matrix products, a multiply-add
being two; bytes and kernels as if all elementwise work were fused into what reads it (convs, products and poolings read
their operands and write their result, a reduction takes in what comes before it, batch norm reads its map twice, the
update of all weights is one kernel). A step takes the longest of FLOPs / rate, bytes / bandwidth and kernels × 4 µs.
This is a rule, not what XLA's GPU compiler makes of it.
"""

import collections
import dataclasses
import functools
import math
import re

import tensorflow as tf

from hacnn_tf.evaluation import feature_function
from hacnn_tf.models import HACNN, INPUT_SIZE
from hacnn_tf.models.counting import count, kernel_calls
from hacnn_tf.training.loop import make_optimizer
from hacnn_tf.training.recipes import RECIPES
from hacnn_tf.training.step import make_train_step
from hacnn_tf.utils import cli

COMMAND = cli.Command(__doc__, "roofline")

BATCHES, IDENTITIES = (32, 128, 512), 767
PRECISIONS = ("float32", "mixed_bfloat16")
LAUNCH = 4e-6  # seconds


@dataclasses.dataclass(frozen=True)
class Card:
    """A card's data sheet, without sparsity.

    Attributes:
        bandwidth: bytes a second.
        rates: dict from kind of product to FLOPs a second, and the precision whose program it computes.
    """

    bandwidth: float
    rates: dict


CARDS = {
    "H100 SXM": Card(
        3.35e12,
        {
            "float32": (67e12, "float32"),
            "TF32": (494.7e12, "float32"),
            "bfloat16": (989.4e12, "mixed_bfloat16"),
        },
    ),
    # Neither TF32 nor bfloat16; float16 reads and writes as much as bfloat16.
    "T4": Card(320e9, {"float32": (8.1e12, "float32"), "float16": (65e12, "mixed_bfloat16")}),
}

BYTES = {"pred": 1, "u8": 1, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4, "s64": 8, "f64": 8}
INSTRUCTION = re.compile(r"^  (ROOT )?%([\w.-]+) = (\(.*?\)|\S+) ([\w-]+)\((.*)$", re.MULTILINE)
PRODUCTS = {"convolution", "dot"}
STORED_FIRST = {*PRODUCTS, "reduce-window", "select-and-scatter", "gather", "scatter"}  # their operands are
NORMS = {"batch-norm-training", "batch-norm-grad"}
KERNELS = {*STORED_FIRST, *NORMS, "reduce"}
NAMES = {"reshape", "reverse", "transpose", "copy", "bitcast", "tuple", "get-tuple-element"}  # of the same arrays
GIVEN = {"parameter", "constant"}


@dataclasses.dataclass(frozen=True)
class Instruction:
    """An instruction of a program's entry computation; `arrays` are the (type, dimensions) of its results."""

    opcode: str
    arrays: list
    operands: list
    text: str
    is_root: bool


@dataclasses.dataclass(frozen=True)
class Kernel:
    """Something launched: the opcode it ends in, its FLOPs (of products), the names of what it reads, bytes written."""

    opcode: str
    flops: int
    reads: frozenset
    written: int


def read_program(text):
    """Dict from name to `Instruction`, of the entry computation of an HLO program, in its order."""
    entry = text[text.index("\nENTRY") :]
    return {
        name: Instruction(
            opcode,
            [(kind, _dims(dims)) for kind, dims in re.findall(r"(\w+)\[([\d,]*)\]", shape)],
            re.findall(r"%([\w.-]+)", rest.partition("), ")[0]),
            rest,
            bool(root),
        )
        for root, name, shape, opcode, rest in INSTRUCTION.findall(entry)
    }


def _dims(text):
    return tuple(map(int, re.findall(r"\d+", text)))


def size(arrays):
    """In bytes."""
    return sum(BYTES[kind] * math.prod(dims) for kind, dims in arrays)


class Fusion:
    """Which kernels a program (stage "hlo") becomes if all that works element by element is fused into its readers.

    Convolutions, products, pooling and gathering read arrays from memory, and every array that they read or write is
    stored once. Reductions, also batch norm's statistics, take elementwise work in where they read. Elementwise work
    is done where its result is stored; all that only leaves the program (updated weights and averages) is one kernel.
    What depends on constants alone is computed before.

    Args:
        text: the program.

    Attributes:
        kernels: list of `Kernel`.
    """

    def __init__(self, text):
        self.program = read_program(text)
        inner = {b for i in self.program.values() if i.opcode in STORED_FIRST for b in self._bases(i.operands)}
        outputs = self._bases([name for name, i in self.program.items() if i.is_root])
        self.kernels, leaving, sources, constants = [], [], {}, set()
        for name, instruction in self.program.items():
            reads = self._reads(name, sources)
            if instruction.opcode == "parameter":
                sources[name] = frozenset([name])
            elif reads <= constants:
                constants.add(name)
                is_array = instruction.opcode == "constant" and instruction.arrays[0][1]  # numbers are in the code
                sources[name] = frozenset([name]) if is_array or name in inner else reads
            elif instruction.opcode in KERNELS or name in inner:
                written = size(self._stored(instruction))
                last = self.program[instruction.operands[0]] if self._normalized(name) else instruction
                self.kernels.append(Kernel(last.opcode, self._flops(instruction), reads, written))
                sources[name] = frozenset([name])
            else:
                sources[name] = reads
                if name in outputs:
                    leaving.append((reads, size(instruction.arrays)))
        if leaving:
            reads, written = zip(*leaving, strict=True)
            self.kernels.append(Kernel("outputs", 0, frozenset().union(*reads), sum(written)))

    def _bases(self, names):
        """What of other instructions these names stand for."""
        bases = set()
        for name in names:
            again = self.program[name].opcode in NAMES and not self._normalized(name)
            bases |= self._bases(self.program[name].operands) if again else {name}
        return bases

    def _normalized(self, name):
        """Whether it is the map that a batch norm gives, elementwise work once its statistics are there."""
        instruction = self.program[name]
        of_norm = instruction.opcode == "get-tuple-element" and self.program[instruction.operands[0]].opcode in NORMS
        return of_norm and "index=0" in instruction.text

    def _reads(self, name, sources):
        operands = self.program[name].operands
        if self._normalized(name):
            operands = [*operands, *self.program[operands[0]].operands]
        return frozenset().union(*(sources[operand] for operand in operands))

    def _stored(self, instruction):
        return instruction.arrays[1:] if instruction.opcode in NORMS else instruction.arrays

    def bytes(self, kernels):
        """Read and written by these kernels, each reading an array once."""
        return sum(
            kernel.written + sum(size(self._stored(self.program[name])) for name in kernel.reads) for kernel in kernels
        )

    def _flops(self, instruction):
        """Of a product, a multiply-add being two; zeros of padding count, those that a stride puts in do not."""
        if instruction.opcode not in PRODUCTS:
            return 0
        (_, result), *_ = instruction.arrays
        left, right = (self.program[name].arrays[0][1] for name in instruction.operands)
        if instruction.opcode == "dot":
            axes = _numbers(r"lhs_contracting_dims=\{([\d,]*)\}", instruction.text)
            return 2 * math.prod(result) * math.prod(left[axis] for axis in axes)
        channels = right[re.search(r"dim_labels=\w+_(\w+)->", instruction.text)[1].index("i")]
        window = math.prod(_numbers(r"window=\{size=([\dx]+)", instruction.text))
        put_in = math.prod(_numbers(r"lhs_dilate=([\dx]+)", instruction.text))
        return 2 * math.prod(result) * window * channels // put_in


def _numbers(pattern, text):
    found = re.search(pattern, text)
    return _dims(found[1]) if found else ()


@dataclasses.dataclass(frozen=True)
class Count:
    """What a program does: FLOPs of products, bytes and kernels as `Fusion` has them, and those of products alone.

    `product_bytes` are those of the products and of what leaves the program: all else fused into them.
    """

    flops: int
    bytes: int
    kernels: int
    products: int
    product_bytes: int

    @classmethod
    def of(cls, text):
        """Of a program before XLA optimises it."""
        fusion = Fusion(text)
        products = [kernel for kernel in fusion.kernels if kernel.opcode in PRODUCTS]
        leaving = [kernel for kernel in fusion.kernels if kernel.opcode == "outputs"]
        return cls(
            sum(kernel.flops for kernel in fusion.kernels),
            fusion.bytes(fusion.kernels),
            len(fusion.kernels),
            len(products),
            fusion.bytes([*products, *leaving]),
        )


def shares(text, shown=5):
    """Of the bytes of a program before XLA optimises it, by kind of kernel, the largest first; as text."""
    fusion, moved = Fusion(text), collections.Counter()
    for kernel in fusion.kernels:
        moved[kernel.opcode] += fusion.bytes([kernel])
    return ", ".join(f"{opcode} {part / moved.total():.0%}" for opcode, part in moved.most_common(shown))


def compiled(text):
    """Kernels and bytes of a program as XLA compiled it (stage "optimized_hlo")."""
    program = read_program(text)
    launched = [i for i in program.values() if i.opcode not in {*GIVEN, "bitcast", "tuple", "get-tuple-element"}]
    moved = sum(size(i.arrays) + sum(size(program[name].arrays) for name in i.operands) for i in launched)
    return len(launched), moved


@functools.cache
def functions(precision):
    """Dict from work to its compiled function, and its arguments after the images."""
    model, recipe = HACNN(IDENTITIES, dtype=precision), RECIPES["adamw"]
    optimizer = make_optimizer(recipe, steps=150, precision=precision)
    optimizer.build(model.trainable_variables)
    step = make_train_step(model, optimizer, recipe, xla=True)
    extract = tf.function(feature_function(model), jit_compile=True, autograph=False)
    return {"training": (step, [tf.int32]), "extraction": (extract, [])}


def program(work, precision, batch, stage="hlo"):
    """The text of an XLA program."""
    function, more = functions(precision)[work]
    images = tf.TensorSpec((batch, *INPUT_SIZE, 3), tf.uint8)
    specs = [images, *(tf.TensorSpec(batch, kind) for kind in more)]
    return function.experimental_get_compiler_ir(*specs)(stage=stage)


def main(flags):
    kernels = 2 * count(kernel_calls(HACNN(IDENTITIES).feature_extractor()))["macs"]
    expected = {"training": 3 * kernels, "extraction": kernels}
    counts = {
        (work, precision, batch): Count.of(program(work, precision, batch))
        for precision in PRECISIONS
        for work in expected
        for batch in BATCHES
    }
    print_table(
        "program | batch | GFLOP an image | × network's | MB an image | products alone | kernels | of them products",
        (
            f"{work}, {precision} | {batch} | {c.flops / batch / 1e9:.3f} | {c.flops / batch / expected[work]:.3f} | "
            f"{c.bytes / batch / 1e6:.1f} | {c.product_bytes / batch / 1e6:.1f} | {c.kernels:,} | {c.products}"
            for (work, precision, batch), c in counts.items()
        ),
    )
    for work in expected:
        launched, moved = compiled(program(work, "float32", 32, "optimized_hlo"))
        print(f"\nXLA for this CPU: {work}, float32, batch 32: {launched:,} kernels, {moved / 32e6:.1f} MB an image.")
    parts = shares(program("training", "float32", 32))
    print(f"\nBytes of training, float32, batch 32, by what a kernel ends in: {parts}.")
    for name, card in CARDS.items():
        print(f"\n{name}:\n")
        print_table(
            "program | batch | compute | memory | launches | limit | images/s at most | products alone",
            (
                prediction(card, rate, counts[work, precision, batch], f"{work}, {kind}", batch)
                for work in expected
                for kind, (rate, precision) in card.rates.items()
                for batch in BATCHES
            ),
        )


def prediction(card, rate, count, name, batch):
    """A line: what each limit takes by itself, the largest, and the images a second if the others hide behind it."""
    times = {
        "compute": count.flops / rate,
        "memory": count.bytes / card.bandwidth,
        "launches": count.kernels * LAUNCH,
    }
    limit = max(times, key=times.get)
    alone = max(times["compute"], count.product_bytes / card.bandwidth)
    shown = " | ".join(f"{1e3 * time:.2f} ms" for time in times.values())
    return f"{name} | {batch} | {shown} | {limit} | {rounded(batch / times[limit])} | {rounded(batch / alone)}"


def rounded(rate):
    """To two digits: it is no measurement."""
    return f"{float(f'{rate:.2g}'):,.0f}"


def print_table(header, lines):
    print(f"| {header} |\n|{'---|' * len(header.split('|'))}")
    for line in lines:
        print(f"| {line} |")


if __name__ == "__main__":
    COMMAND.run(main)
