"""Table 8: known networks have their known sizes, and the paper's figures follow from one convention or another."""

import pytest

from hacnn_tf.models import count, kernel_calls
from hacnn_tf.paper.networks import alexnet, googlenet, networks_sheet


@pytest.fixture(scope="module")
def sheet():
    return networks_sheet()


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
    ("network", "figure", "convention"),
    [
        ("AlexNet, two groups", "flops", "MACs with classifier"),
        ("AlexNet, one tower", "weights", "weights without classifier"),
        ("VGG16", "flops", "MACs with classifier"),
        ("VGG16", "weights", "weights without classifier"),
        ("ResNet50, pooling unpadded", "flops", "MACs without classifier"),
        ("ResNet50", "weights", "weights without classifier"),
        ("GoogLeNet", "flops", "MACs without classifier"),
        ("GoogLeNet", "weights", "weights without classifier"),
        ("HA-CNN", "flops", "2 × MACs with classifier"),
    ],
)
def test_published_figures_follow_within_one_percent(sheet, network, figure, convention):
    row = sheet.data.set_index("network").loc[network]
    assert row[f"{figure}_convention"] == convention
    assert abs(row[f"{figure}_deviation"]) < 1


def test_every_network_has_its_row(sheet):
    assert set(sheet.data["published row"]) == {
        "AlexNet [15]",
        "VGG16 [26]",
        "ResNet50 [8]",
        "GoogLeNet [30]",
        "JLML",
        "HA-CNN",
    }
    hacnn = sheet.data.set_index("network").loc["HA-CNN"]
    assert (hacnn.weights_without, hacnn.macs_without) == (2_909_054, 543_994_538)
    depths = sheet.data.set_index("network").depth_with.dropna().to_dict()
    assert (depths["VGG16"], depths["ResNet50"], depths["GoogLeNet"]) == (16, 50, 22)


def test_groups_halve_the_second_fourth_and_fifth_convolution():
    two, one = (
        [call.weights for call in kernel_calls(alexnet(groups=groups)) if "conv" in call.path] for groups in (2, 1)
    )
    assert [b / a for a, b in zip(two, one, strict=True)] == [1, 2, 1, 2, 2]
    assert count(kernel_calls(alexnet()))["depth"] == 8
