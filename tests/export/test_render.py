"""Fields rendered at once are those rendered in bands."""

import pytest
import torch

from offstride.export import render
from offstride.field import (
    BilinearField,
    DenseField,
    LocatedField,
    LogitField,
    NearestField,
    SubpixelField,
)


def fields(origin):
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    scores = draw(2, 6, 5, 7)
    yield "dense", DenseField(scores)
    yield "finer", BilinearField(scores, (33, 50), origin)
    yield "coarser", BilinearField(scores, (4, 6), origin)
    yield "nearest", NearestField(scores, (33, 50), origin)
    for M in (1, 3, 6):
        yield f"located {M}", LocatedField(scores, 3 * draw(2, 2 * M, 21, 34), origin)
    yield "one pixel", LocatedField(scores[:, :, :1, :1], draw(2, 2, 4, 5), origin)
    yield "composed", BilinearField(LocatedField(scores, draw(2, 2, 10, 14), origin), (19, 30), origin)
    windows = draw(4, 4, 3, 6), draw(4, 4, 3)
    yield "subpixel", SubpixelField(scores, *windows, (20, 28))
    yield "cropped", SubpixelField(scores, *windows, (18, 25), torch.tensor(1.7))


@pytest.mark.parametrize("origin", ["center", "corner", "aligned"])
def test_rendering_equals_the_field(origin):
    for name, field in fields(origin):
        torch.testing.assert_close(
            render(field), field.dense(), atol=1e-5, rtol=1e-5, msg=lambda m, n=name: f"{n}: {m}"
        )


def test_unknown_kinds_render_themselves():
    class Constant(LogitField):
        shape = torch.Size((1, 2, 3, 4))
        values = torch.zeros(1, 2, 1, 1)

        def rows(self, start, stop):
            return torch.full((1, 2, stop - start, 4), 7.0)

    assert (render(Constant()) == 7).all()
