"""Class indices of the street scenes, in the order of `offstride.data.catalog.STREETS`."""

SKY, BUILDING, ROAD, PAVEMENT, TREE, CAR, PERSON, POLE, SIGN = range(9)
