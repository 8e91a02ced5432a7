"""Label windows written out, pixel by pixel: what the encoded ones are held against."""

import numpy as np


def vectors(maps, scale, classes):
    """One-hot windows `(m, r²·n)` of some `(H, W)` arrays, padded with zeros; values that are no class are zeros."""
    result = []
    for labels in maps:
        H, W = labels.shape
        for top in range(0, H, scale):
            for left in range(0, W, scale):
                window = np.zeros((scale, scale, classes))
                for y in range(top, min(top + scale, H)):
                    for x in range(left, min(left + scale, W)):
                        if labels[y, x] < classes:
                            window[y - top, x - left, labels[y, x]] = 1
                result.append(window.ravel())
    return np.array(result)


def covariance(maps, scale, classes):
    """Mean window and covariance (divided by m) of the windows written out."""
    v = vectors(maps, scale, classes)
    mean = v.mean(0)
    return mean, (v - mean).T @ (v - mean) / len(v)


def regions(count, height, width, classes, seed=0, ignored=0.05):
    """Label maps of a few regions around random points, with some pixels of no class (255)."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    maps = []
    for _ in range(count):
        points, names = random.uniform(0, (height, width), (6, 2)), random.integers(0, classes, 6)
        near = np.argmin([(y - a) ** 2 + (x - b) ** 2 for a, b in points], 0)
        maps.append(np.where(random.random((height, width)) < ignored, 255, names[near]).astype(np.uint8))
    return maps
