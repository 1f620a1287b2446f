from graph.vjp_case import case, normal
from graph.windows import conv, conv_transpose

X1, X2, X3 = normal(2, 3, 7), normal(1, 2, 5, 6), normal(1, 2, 3, 4, 3)
SMALL = normal(1, 2, 3, 2)
W1, W2, W3 = normal(4, 3, 3), normal(3, 2, 3, 2), normal(2, 2, 2, 3, 2)
# as many channels as let Conv take the place of ConvTranspose
MANY, WIDE = normal(1, 12, 4, 3), normal(2, 12, 3, 3, scale=0.3)

CASES = [
    # the input alone; the weight is a constant
    case("Conv", X2, W2, constant=[1]),
    case("Conv", X1, W1, constant=[1], note="1d", strides=[2], pads=[2, 1], dilations=[2]),
    case("Conv", X3, W3, constant=[1], note="3d", strides=[1, 2, 1], pads=[0, 1, 0, 1, 1, 1]),
    case("Conv", X2, W2, normal(3), constant=[1, 2], note="bias", pads=[1, 0, 0, 1]),
    *(
        case("Conv", X2, W2, constant=[1], **attributes)
        for attributes in (
            {"strides": [2, 2]},
            {"strides": [2, 3], "pads": [0, 1, 2, 1]},
            {"strides": [3, 1], "pads": [1, 1, 1, 1]},
            {"dilations": [2, 3], "pads": [1, 1, 0, 2]},
            {"strides": [2, 2], "dilations": [2, 1]},
            {"pads": [3, 2, 1, 2]},
            {"auto_pad": "SAME_UPPER"},
            {"auto_pad": "SAME_LOWER"},
            {"auto_pad": "VALID", "strides": [2, 2]},
        )
    ),
    case("Conv", MANY, WIDE, constant=[1], note="many", pads=[1, 1, 1, 1]),
    case("Conv", MANY, WIDE, constant=[1], note="many", dilations=[1, 2], pads=[2, 2, 1, 3]),
    case("Conv", MANY, WIDE, constant=[1], note="many", pads=[3, 0, 2, 1]),
    case("Conv", MANY, WIDE, constant=[1], note="many", auto_pad="SAME_LOWER"),
    case("Conv", MANY, normal(3, 12, 1, 1), constant=[1], note="many"),
    case("Conv", MANY, normal(3, 12, 1, 1), constant=[1], note="cut", pads=[1, 1, 1, 1]),
    case("Conv", normal(2, 12, 5), normal(2, 12, 3), constant=[1], note="many1d", pads=[0, 1]),
    case("Conv", normal(1, 12, 2, 3, 2), normal(1, 12, 2, 2, 1), constant=[1], note="many3d"),
    # groups
    *(
        case(
            "Conv",
            normal(2, group * inputs, 4, 3),
            normal(group * outputs, inputs, 2, 3),
            constant=[1],
            note=f"{inputs} to {outputs}",
            group=group,
            oracle=conv(group, **window),
            **window,
        )
        for group, inputs, outputs in ((3, 1, 1), (2, 1, 2), (2, 2, 1), (2, 2, 3))
        for window in ({"pads": [1, 0, 0, 2]}, {"strides": [2, 1], "pads": [0, 1, 1, 1]})
    ),
    # weight and bias vary too
    case("Conv", X2, W2, normal(3), note="all", kernel_shape=[3, 2]),
    case("Conv", X1, W1, normal(4), note="all1d", kernel_shape=[3], strides=[2], pads=[1, 0]),
    case("Conv", normal(1, 1, 3, 3, 2), normal(2, 1, 2, 2, 2), note="all3d", kernel_shape=[2] * 3),
    *(
        case("Conv", X2, W2, note="all", kernel_shape=[3, 2], **attributes)
        for attributes in (
            {"strides": [2, 3], "pads": [0, 1, 2, 1]},
            {"strides": [3, 2], "dilations": [1, 2]},
            {"dilations": [2, 3], "pads": [1, 1, 0, 2]},
            {"auto_pad": "SAME_LOWER"},
        )
    ),
    *(
        case(
            "Conv",
            normal(2, 4, 4, 3),
            normal(2, 2, 2, 2),
            note="all",
            kernel_shape=[2, 2],
            group=2,
            oracle=conv(2, **window),
            **window,
        )
        for window in ({}, {"strides": [3, 2], "pads": [1, 0, 0, 1]})
    ),
    # the transposed one
    case("ConvTranspose", SMALL, normal(2, 3, 3, 2), constant=[1]),
    case("ConvTranspose", X1, normal(3, 2, 3), constant=[1], note="1d", strides=[2], pads=[1, 2]),
    case("ConvTranspose", normal(1, 2, 2, 2, 3), W3, constant=[1], note="3d", strides=[1, 2, 1]),
    case("ConvTranspose", SMALL, normal(2, 2, 3, 2), normal(2), note="all", kernel_shape=[3, 2]),
    *(
        case("ConvTranspose", SMALL, normal(2, 2, 3, 2), kernel_shape=[3, 2], **attributes)
        for attributes in (
            {"strides": [2, 3]},
            {"strides": [2, 2], "pads": [1, 0, 2, 1]},
            {"strides": [2, 3], "output_padding": [1, 2], "pads": [0, 1, 1, 0]},
            {"strides": [3, 2], "output_padding": [2, 1], "dilations": [1, 2]},
            {"dilations": [2, 3]},
            {"auto_pad": "SAME_UPPER", "strides": [2, 1]},
            {"auto_pad": "SAME_LOWER", "strides": [2, 1]},
            {"auto_pad": "VALID", "strides": [2, 1]},
        )
    ),
    *(
        case(
            "ConvTranspose",
            normal(2, 2 * inputs, 3, 2),
            normal(2 * inputs, outputs, 2, 3),
            note=f"{inputs} to {outputs}",
            kernel_shape=[2, 3],
            group=2,
            oracle=conv_transpose(2, **window),
            **window,
        )
        for inputs, outputs in ((1, 1), (1, 2), (2, 1))
        for window in ({}, {"strides": [3, 2], "pads": [1, 0, 0, 1], "output_padding": [1, 0]})
    ),
]
