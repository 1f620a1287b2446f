from typing import Any

import numpy as np

from graph.vjp_case import Case, Draw, case, fixed, normal

TRANSFORMATIONS = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
)
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


def ints(*numbers: int) -> Draw:
    return fixed(np.array(numbers, dtype=np.int64))


def floats(*numbers: float) -> Draw:
    return fixed(np.array(numbers, dtype=np.float32))


def to(image: Draw, *sizes: int, **more: Any) -> Case:
    return case("Resize", image, None, None, ints(*sizes), opset=19, **more)


def by(image: Draw, *scales: float, **more: Any) -> Case:
    return case("Resize", image, None, floats(*scales), opset=19, constant=[2], **more)


def cropped(mode: str, image: Draw, roi: Draw, *sizes: int, **more: Any) -> Case:
    way = "tf_crop_and_resize"
    return case(
        "Resize",
        image,
        roi,
        None,
        ints(*sizes),
        opset=19,
        mode=mode,
        coordinate_transformation_mode=way,
        constant=[1],
        **more,
    )


SMALL, IMAGE = normal(1, 1, 3, 4), normal(2, 2, 2, 3)

CASES = [
    *(
        to(SMALL, 1, 1, 5, 3, mode=mode, coordinate_transformation_mode=way)
        for mode in ("nearest", "linear", "cubic")
        for way in TRANSFORMATIONS
    ),
    *(
        to(
            SMALL,
            1,
            1,
            7,
            5,
            mode="nearest",
            coordinate_transformation_mode=way,
            nearest_mode=rounding,
        )
        for way in ("half_pixel", "align_corners", "asymmetric")
        for rounding in ROUNDINGS
    ),
    to(SMALL, 1, 1, 3, 4, note="nothing to do"),
    by(SMALL, 1, 1, 1, 1, mode="linear", note="nothing to do"),
    # every element repeated
    *(
        by(IMAGE, 1, 1, 2, 3, coordinate_transformation_mode=way, nearest_mode=rounding)
        for way in TRANSFORMATIONS
        for rounding in ROUNDINGS
        if way != "align_corners"
    ),
    to(IMAGE, 2, 2, 4, 3, note="repeated to"),
    by(IMAGE, 1, 1, 2, 2, coordinate_transformation_mode="asymmetric", note="twice"),
    by(normal(2, 1, 3), 1, 1, 3, note="repeated in one dimension"),
    by(normal(1, 1, 1, 2, 2), 1, 1, 2, 1, 3, note="repeated in three dimensions"),
    by(IMAGE, 1, 2, 2, 1, note="channels repeated"),
    by(normal(2, 2), 2, 2, note="a matrix repeated"),
    case(
        "Resize",
        IMAGE,
        None,
        floats(3, 2),
        constant=[2],
        axes=[-1, 2],
        oracle=lambda x, *_: x.repeat(2, axis=2).repeat(3, axis=3),
    ),
    # scales that are no whole numbers
    *(
        by(SMALL, 1, 1, 1.6, 0.6, mode=mode, coordinate_transformation_mode=way)
        for mode in ("nearest", "linear", "cubic")
        for way in ("half_pixel", "asymmetric")
    ),
    # how it is interpolated
    *(
        to(
            normal(1, 1, 5, 6),
            1,
            1,
            3,
            2,
            mode=mode,
            antialias=1,
            coordinate_transformation_mode=way,
        )
        for mode in ("linear", "cubic")
        for way in ("half_pixel", "align_corners")
    ),
    to(normal(1, 1, 5, 2), 1, 1, 2, 4, mode="cubic", antialias=1, exclude_outside=1),
    to(SMALL, 1, 1, 5, 3, mode="cubic", exclude_outside=1),
    to(SMALL, 1, 1, 5, 3, mode="cubic", cubic_coeff_a=-0.5),
    # other ranks and axes
    to(normal(5), 3),
    to(normal(3, 4), 5, 2, mode="linear"),
    to(normal(1, 2, 3), 1, 2, 5, mode="linear"),
    to(normal(1, 2, 2, 3), 1, 3, 4, 3, mode="linear", note="channels last"),
    to(normal(1, 1, 2, 3, 2), 1, 1, 3, 2, 4, mode="linear"),
    to(SMALL, 6, 2, mode="linear", axes=[3, 2]),
    to(SMALL, 6, mode="linear", axes=[3]),
    to(SMALL, 2, 3, mode="nearest", axes=[0, 1], note="batch and channels"),
    to(SMALL, 1, 1, 5, 3, mode="linear", note="computed", computed=[3]),
    to(SMALL, 5, 3, mode="nearest", axes=[2, 3], note="computed", computed=[3]),
    # a part of the image, and beyond
    *(
        cropped(mode, SMALL, floats(0, 0, 0.1, -0.2, 1, 1, 0.8, 0.9), 1, 1, 4, 5)
        for mode in ("nearest", "linear", "cubic")
    ),
    cropped("linear", SMALL, floats(0.4, 0, 1.3, 0.6), 4, 2, axes=[2, 3], extrapolation_value=7.0),
    cropped("linear", SMALL, floats(0.6, 0, 0, 1), 3, 5, axes=[3, 2], note="backwards"),
]
