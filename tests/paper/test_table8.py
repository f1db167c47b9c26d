"""Table 8: known networks have their known sizes, and the paper's figures follow from one convention or another."""

from pathlib import Path

import pytest

from experiments import pages
from hacnn_tf.models import HACNN, count, kernel_calls
from hacnn_tf.paper.table8 import _counts, alexnet, googlenet


@pytest.mark.parametrize(
    ("build", "parameters"),
    [(alexnet, 60_965_224), (lambda: alexnet(groups=1), 62_378_344), (googlenet, 6_998_552)],
    ids=["bvlc_alexnet", "one tower", "bvlc_googlenet"],
)
def test_as_many_parameters_as_the_networks_others_built(build, parameters):
    assert build().count_params() == parameters


def test_maps_have_the_sizes_of_the_papers():
    sizes = [layer.output.shape[1] for layer in alexnet().layers if len(layer.output.shape) == 4]
    assert sizes == [55, 27, 27, 13, 13, 13, 13, 6]
    assert googlenet().layers[-3].output.shape[1:] == (7, 7, 1024)


@pytest.mark.parametrize(
    ("network", "figure", "way"),
    [
        ("AlexNet, two groups", "FLOPs", "MACs with classifier"),
        ("AlexNet, one tower", "PN (million)", "weights without classifier"),
        ("AlexNet, one tower", "Depth", "depth without classifier"),
        ("VGG16", "FLOPs", "MACs with classifier"),
        ("VGG16", "FLOPs", "MACs without classifier"),
        ("VGG16", "PN (million)", "weights without classifier"),
        ("VGG16", "Depth", "depth with classifier"),
        ("ResNet50, pooling unpadded", "FLOPs", "MACs without classifier"),
        ("ResNet50", "PN (million)", "weights without classifier"),
        ("ResNet50", "Depth", "depth with classifier"),
        ("GoogLeNet", "FLOPs", "MACs without classifier"),
        ("GoogLeNet", "PN (million)", "weights without classifier"),
        ("GoogLeNet", "Depth", "depth with classifier"),
        ("HA-CNN", "FLOPs", "2 × MACs without classifier"),
        ("HA-CNN", "Depth", "branch after branch with classifier"),
    ],
)
def test_published_figures_follow_within_one_percent(table8, network, figure, way):
    ways = table8.data.set_index("network").loc[network, f"{figure} agrees with"].split(", ")
    assert way in [name.rpartition(" (")[0] for name in ways]


def test_figures_that_follow_from_nothing_are_said_to(table8):
    data = table8.data.set_index("network")
    assert data.loc["HA-CNN", "PN (million) agrees with"] == "none; nearest weights without classifier (+7.7%)"
    assert data.loc["AlexNet, one tower", "FLOPs agrees with"].startswith("none; nearest ")
    assert data.loc["JLML, not counted", "FLOPs agrees with"] == "–"
    assert (data.loc["HA-CNN", "weights_without"], data.loc["HA-CNN", "macs_without"]) == (2_909_054, 543_994_538)


def test_groups_halve_the_second_fourth_and_fifth_convolution():
    two, one = (
        [call.weights for call in kernel_calls(alexnet(groups=groups)) if "conv" in call.path] for groups in (2, 1)
    )
    assert [b / a for a, b in zip(two, one, strict=True)] == [1, 2, 1, 2, 2]
    assert count(kernel_calls(alexnet()))["depth"] == 8


def test_where_the_papers_depth_of_hacnn_comes_from(table8):
    counted = "first conv 1, Inceptions 18, soft attention 9, local Inceptions 9, FC 1, classifier 1"
    (note,) = [note for note in table8.notes if counted in note]
    assert note.startswith("HA-CNN's longest path has 31 layers; one branch after the other has 39 (")


def test_the_page_of_results_shows_it(table8):
    page = (Path(__file__).parents[2] / pages.FOLDER / "table8.md").read_text()
    assert page.endswith(f"\n\n{table8.markdown()}"), "python -m experiments.pages"


@pytest.mark.parametrize("local", [True, False])
def test_what_is_counted_without_is_one_classifier_a_branch(local):
    counts = _counts(HACNN(5, widths=(16, 32, 48), feature_dim=24, local=local))
    assert counts["weights_with"] - counts["weights_without"] == (1 + local) * 24 * 5


def test_where_torchreids_size_comes_from(table8):
    inceptions = 1_308_672 - 1536 * 512  # of the local branch, which is these and an FC layer
    (note,) = [note for note in table8.notes if "torchreid" in note]
    assert f"{(2_909_054 + 3 * inceptions) / 1e6:.2f} million by this count" in note
