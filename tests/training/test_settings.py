"""Settings: the paper's by default, and no contradiction goes unnoticed."""

import pytest

from hacnn_tf.errors import InputError
from hacnn_tf.training.settings import Settings


def test_the_defaults_are_the_papers():
    settings = Settings(dataset="cuhk03").completed()
    assert (settings.epochs, settings.batch_size, settings.recipe.learning_rate) == (150, 32, 5e-4)
    assert (settings.split, settings.boxes, settings.testset) == ("767_700", "detected", None)
    assert Settings(dataset="cuhk03", split="1367_100").completed().testset == 1
    assert Settings().completed().epochs < 20


@pytest.mark.parametrize(
    ("settings", "flag"),
    [
        ({"dataset": "market1501", "boxes": "detected"}, "--boxes"),
        ({"dataset": "synthetic", "split": "767_700"}, "--split"),
        ({"dataset": "cuhk03", "split": "767_700", "testset": 2}, "--testset"),
    ],
)
def test_contradictions_are_named(settings, flag):
    with pytest.raises(InputError, match=f"{flag} needs --dataset cuhk03"):
        Settings(**settings).completed()


def test_tests_are_after_the_last_epoch_and_every_so_many():
    def tested(**settings):
        return [epoch for epoch in range(8) if Settings(epochs=7, **settings).evaluates_after(epoch)]

    assert tested() == [7]
    assert tested(eval_every=3) == [3, 6, 7]
