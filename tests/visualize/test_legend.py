import numpy as np

from offstride.data.catalog import CAMVID, ClassSet
from offstride.visualize import legend


def test_every_colour_is_shown_in_its_order():
    picture = legend(CAMVID)
    places = [np.argwhere((picture == color).all(2)) for color in CAMVID.palette]
    assert all(len(place) > 50 for place in places)
    tops = [place[:, 0].mean() for place in places]
    assert tops == sorted(tops)


def test_columns_make_it_wider_and_lower():
    tall, wide = legend(CAMVID), legend(CAMVID, columns=3)
    assert wide.shape[0] < tall.shape[0]
    assert wide.shape[1] > tall.shape[1]


def test_every_name_is_shown_as_it_is():
    colors = ((255, 0, 0), (0, 0, 255))
    plain = legend(ClassSet(names=("hidden", "5x5"), palette=colors))
    odd = legend(ClassSet(names=("_hidden", "$5x5$"), palette=colors))
    assert ((odd == colors[0]).all(2).sum(), (odd == colors[1]).all(2).sum()) == (
        (plain == colors[0]).all(2).sum(),
        (plain == colors[1]).all(2).sum(),
    )
    assert odd.shape[1] > plain.shape[1]
