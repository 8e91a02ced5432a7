"""Small comparisons with numbers that are easy to find again."""


def figure(*values, of=None, images=None, seeds=None, both=None, clear=False):
    """A score of some runs; `of` are the baseline's values, in the same order."""
    score = {"mean": mean(values), "sd": deviation(values), "values": list(values), "difference": None}
    if of is not None:
        changes = [value - base for value, base in zip(values, of, strict=True)]
        score["difference"] = {
            "mean": mean(changes),
            "sd": deviation(changes),
            "values": changes,
            "images": images,
            "seeds": seeds,
            "both": both or images,
            "clear": clear,
        }
    return score


def mean(values):
    return sum(values) / len(values)


def deviation(values):
    """Sample standard deviation; None of one value."""
    middle = mean(values)
    return (sum((value - middle) ** 2 for value in values) / (len(values) - 1)) ** 0.5 if len(values) > 1 else None


def entry(name, scores, **changes):
    made = {
        "name": name,
        "description": f"{name}, in a line",
        "paper": "",
        "runs": len(next(iter(scores.values()))["values"]),
        "scores": scores,
        "trimap": [],
        "classes": {},
        "curves": {},
        "costs": {},
        "extremes": {"wins": [], "losses": []},
    }
    return made | changes


def against(base, change, **interval):
    """Two runs that differ from the baseline's by about `change`."""
    low, high = change - 0.004, change + 0.004
    intervals = {"images": [low, high], "seeds": [low - 0.001, high + 0.001], "both": [low - 0.002, high + 0.002]}
    values = [value + change + jitter for value, jitter in zip(base, (0.001, -0.001), strict=True)]
    clear = (low - 0.001) * (high + 0.001) > 0
    return figure(*values, of=base, **(intervals | {"clear": clear} | interval))


MIOU, BOUNDARY = (0.52, 0.54), (0.3, 0.32)


def report(**changes):
    """Three entries, two runs: `good` is clearly better in both metrics, `mixed` worse in mIoU, open in the other."""
    scores = {
        "bilinear": {"miou": figure(*MIOU), "boundary_iou": figure(*BOUNDARY)},
        "good": {"miou": against(MIOU, 0.0125), "boundary_iou": against(BOUNDARY, 0.0375)},
        "mixed": {"miou": against(MIOU, -0.02), "boundary_iou": against(BOUNDARY, 0.002)},
    }
    road, pole = (0.9, 0.9), (0.04, 0.06)
    classes = {
        "bilinear": {"road": figure(*road), "pole": figure(*pole)},
        "good": {"road": against(road, 0.001), "pole": against(pole, 0.0625)},
        "mixed": {"road": against(road, -0.03), "pole": None},
    }
    narrow, wide = (0.2, 0.22), (0.4, 0.42)
    bands = {
        "bilinear": (figure(*narrow), figure(*wide)),
        "good": (against(narrow, 0.05), against(wide, 0.003)),
        "mixed": (against(narrow, -0.04), None),
    }
    costs = {
        "bilinear": costs_of(2_900_000, 0, 0.05, 0.002),
        "good": costs_of(2_941_200, 41_200, 0.061, 0.0025),
        "mixed": {"parameters": 3_000_000, "devices": {}},
    }
    made = {
        "title": "Three <upsamplers>",
        "data": {
            "name": "town",
            "split": "test",
            "images": 1234,
            "classes": ["road", "pole"],
            "colors": [[1, 2, 3], [4, 5, 6]],
            "thin": ["pole"],
        },
        "setting": {"steps": "400"},
        "baseline": "bilinear",
        "seeds": [0, 1],
        "level": 0.95,
        "resamples": 2000,
        "block": 1,
        "metrics": ["miou", "boundary_iou"],
        "widths": [1, 4],
        "missing": [],
        "entries": [
            entry(
                name,
                scores[name],
                classes=classes[name],
                trimap=[{"width": width, "miou": it} for width, it in zip((1, 4), bands[name], strict=True)],
                costs=costs[name],
                curves={
                    "loss": [[[10, 2.0], [20, 1.0]], [[10, 3.0], [20, 1.5]]],
                    "miou": [[[10, 0.25], [20, 0.5]], [[10, 0.35], [20, 0.75]]],
                },
            )
            for name in scores
        ],
        "made": {"versions": {"torch": "9.9"}, "hardware": "a machine", "commit": "abc1234"},
    }
    return made | changes


def costs_of(parameters, own, cpu, gpu):
    """Costs of an entry on two devices; the CPU's memory is unknown."""
    return {
        "parameters": parameters,
        "upsampler_parameters": own,
        "macs": 1_234_567_890,
        "size": [360, 480],
        "activation_bytes": 3 * 2**20,
        "devices": {
            "cpu": {
                "name": "2 threads",
                "latency": cpu,
                "quartiles": [0.9 * cpu, 1.1 * cpu],
                "images_per_second": 1 / cpu,
                "peak_bytes": None,
            },
            "cuda": {
                "name": "H100",
                "latency": gpu,
                "quartiles": None,
                "images_per_second": 1 / gpu,
                "peak_bytes": 2**30,
            },
        },
    }


def pruned(content, *names):
    """The report with these entries only."""
    return content | {"entries": [it for it in content["entries"] if it["name"] in names]}


def many_classes(count):
    """A report of `count` classes: the difference of class i is i / 1000, of odd ones downwards."""
    names = [f"c{index}" for index in range(count)]
    base = (0.5, 0.5)
    changes = {name: (-1) ** index * index / 1000 for index, name in enumerate(names)}
    content = pruned(report(), "bilinear", "good")
    content["entries"][0]["classes"] = {name: figure(*base) for name in names}
    content["entries"][1]["classes"] = {name: against(base, changes[name]) for name in names}
    colors = [[index, index, index] for index in range(count)]
    return content | {"data": content["data"] | {"classes": names, "colors": colors, "thin": []}}
