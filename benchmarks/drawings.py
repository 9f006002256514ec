"""Twenty-four things of the demo library, as somebody draws them.

They were drawn from the captions, before the pictures or any result were looked at, and not mended after a result.
"""

from collections.abc import Callable
from math import cos, radians, sin

import numpy as np

from benchmarks.pen import Stroke, curve, line, oval

SIDE = 400
"""Things are drawn in a square of this side."""

Thing = Callable[[], list[Stroke]]

# fmt: off
# Points read better in rows than one by one.

def heart() -> list[Stroke]:
    body = curve(
        (200, 110), (235, 60), (310, 55), (345, 120), (320, 200), (200, 340), (80, 205), (55, 125), (90, 58), (165, 62),
        (200, 110), fill="red",
    )
    return [body, line((20, 300), (380, 100)), line((345, 95), (382, 98), (365, 132)), line((20, 300), (10, 280)),
            line((38, 290), (28, 270)), line((20, 300), (40, 312)), line((38, 290), (58, 302))]


def dartboard() -> list[Stroke]:
    rings = [
        oval(200, 200, radius, radius, fill=fill)
        for radius, fill in ((180, "black"), (150, "white"), (105, "red"), (70, "white"), (30, "green"), (12, "red"))
    ]
    spokes = [
        line(*((200 + far * cos(angle), 200 + far * sin(angle)) for far in (32, 148)))
        for angle in (radians(9 + 18 * number) for number in range(20))
    ]
    return [*rings, *spokes]


def ice_cream() -> list[Stroke]:
    cone = line((120, 205), (200, 390), (280, 205), (120, 205), fill="peru")
    waffle = [line((140, 250), (225, 335)), line((160, 210), (245, 290)), line((262, 250), (178, 335)),
              line((240, 210), (155, 290))]
    scoops = [oval(150, 165, 58, 55, fill="saddlebrown"), oval(250, 165, 58, 55, fill="pink"),
              oval(200, 85, 60, 58, fill="lightyellow")]
    return [cone, *waffle, *scoops]


def pear() -> list[Stroke]:
    body = curve(
        (200, 90), (245, 115), (255, 190), (310, 270), (285, 355), (200, 375), (115, 355), (90, 270), (145, 190),
        (155, 115), (200, 90), fill="yellowgreen",
    )
    return [body, curve((200, 92), (205, 60), (222, 30), colour="saddlebrown"),
            curve((212, 55), (250, 25), (300, 40), (260, 70), (212, 55), fill="green")]


def sailing_boat() -> list[Stroke]:
    return [
        line((190, 20), (190, 300), colour="saddlebrown"),
        line((200, 30), (335, 270), (200, 275), (200, 30), fill="blue"),
        line((180, 70), (90, 270), (180, 275), (180, 70), fill="lightblue"),
        curve((50, 300), (85, 350), (150, 365), (270, 363), (320, 345), (360, 300)),
        line((50, 300), (360, 300), (325, 345), (270, 363), (150, 363), (90, 350), (50, 300), fill="saddlebrown"),
        curve((5, 375), (50, 365), (100, 380), (150, 370), (210, 382), (270, 370), (330, 382), (395, 370),
              colour="blue"),
    ]


def top_hat() -> list[Stroke]:
    crown = curve(
        (110, 300), (118, 200), (98, 80), (150, 62), (250, 62), (302, 80), (282, 200), (290, 300), (200, 315),
        (110, 300), fill="black",
    )
    brim = curve((20, 280), (60, 310), (120, 300), (200, 318), (280, 300), (340, 310), (380, 280), (360, 335),
                 (200, 360), (40, 335), (20, 280), fill="black")
    return [brim, crown, curve((112, 265), (200, 285), (288, 265), colour="grey"), oval(200, 68, 98, 16, colour="grey")]


def balloons() -> list[Stroke]:
    strings = [curve((90, 195), (120, 290), (195, 395)), curve((200, 170), (195, 290), (200, 395)),
               curve((310, 210), (260, 310), (203, 395))]
    skins = [oval(90, 120, 68, 78, fill="green"), oval(310, 130, 70, 80, fill="orange"),
             oval(200, 90, 70, 82, fill="red")]
    return [*strings, *skins, curve((165, 60), (175, 45), (190, 38), colour="white")]


def scissors() -> list[Stroke]:
    return [
        line((185, 215), (300, 20), (320, 40), (215, 230), (185, 215), fill="silver"),
        line((215, 215), (100, 20), (80, 40), (185, 230), (215, 215), fill="silver"),
        curve((190, 222), (160, 260), (150, 275)), curve((210, 222), (240, 260), (250, 275)),
        oval(120, 320, 50, 62, 20, fill="black"), oval(280, 320, 50, 62, 20, fill="black"),
        oval(120, 320, 30, 42, fill="white"), oval(280, 320, 30, 42, fill="white"), oval(200, 222, 6, 6),
    ]


def sunflower() -> list[Stroke]:
    stem = curve((200, 200), (205, 300), (198, 395), colour="green")
    leaves = [curve((203, 330), (250, 285), (310, 290), (270, 335), (203, 330), fill="green"),
              curve((202, 360), (150, 315), (95, 325), (140, 365), (202, 360), fill="green")]
    petals = []
    for angle in (radians(30 * number) for number in range(12)):
        across, along = np.array([-sin(angle), cos(angle)]), np.array([cos(angle), sin(angle)])
        tips = [(55, -16), (85, -24), (125, 0), (85, 24), (55, 16), (55, -16)]
        petals.append(curve(*(tuple([200, 150] + far * along + side * across) for far, side in tips), fill="gold"))
    middle = oval(200, 150, 58, 58, fill="saddlebrown")
    seeds = [line((165, 125), (235, 175)), line((165, 175), (235, 125)), line((200, 95), (200, 205))]
    return [stem, *leaves, *petals, middle, *seeds]


def birthday_cake() -> list[Stroke]:
    candles = [line((x, 175), (x, 105), (x + 14, 105), (x + 14, 172), fill="lightblue") for x in (120, 165, 210, 255)]
    flames = [curve((x + 7, 102), (x - 2, 85), (x + 8, 62), (x + 16, 85), (x + 7, 102), fill="orange")
              for x in (120, 165, 210, 255)]
    side = [curve((60, 190), (58, 320), (200, 350), (342, 320), (340, 190), fill="pink"),
            oval(200, 190, 140, 38, fill="lightyellow")]
    icing = curve((60, 200), (85, 245), (115, 215), (145, 255), (180, 225), (215, 258), (250, 225), (285, 252),
                  (315, 215), (340, 200), colour="deeppink")
    return [curve((20, 335), (200, 392), (380, 335)), *side, icing, *candles, *flames]


def gift_box() -> list[Stroke]:
    return [
        line((70, 190), (70, 380), (330, 380), (330, 190), (70, 190), fill="blue"),
        line((50, 140), (50, 190), (350, 190), (350, 140), (50, 140), fill="blue"),
        line((180, 140), (180, 380), (220, 380), (220, 140), (180, 140), fill="yellow"),
        curve((200, 138), (150, 60), (80, 50), (90, 110), (200, 138), fill="yellow"),
        curve((200, 138), (250, 60), (320, 50), (310, 110), (200, 138), fill="yellow"),
        oval(200, 132, 18, 15, fill="yellow"),
    ]


def jupiter() -> list[Stroke]:
    bands = []
    for y, depth, colour in ((90, 30, "peru"), (160, 34, "sienna"), (225, 22, "peru"), (280, 34, "sienna")):
        near, far = ((175**2 - (at - 200) ** 2) ** 0.5 for at in (y, y + depth))
        corners = ((200 - near, y), (200 + near, y), (200 + far, y + depth), (200 - far, y + depth), (200 - near, y))
        bands.append(line(*corners, colour=colour, fill=colour))
    return [oval(200, 200, 175, 175, fill="bisque"), *bands, oval(265, 285, 38, 20, fill="firebrick")]


def windmill() -> list[Stroke]:
    tower = [line((150, 180), (110, 390), (290, 390), (250, 180), (150, 180), fill="tan"),
             curve((145, 182), (160, 130), (200, 112), (240, 130), (255, 182), (145, 182), fill="saddlebrown"),
             line((180, 390), (180, 335), (220, 335), (220, 390), fill="saddlebrown"),
             line((190, 240), (190, 270), (212, 270), (212, 240), (190, 240), fill="lightblue")]
    sails = []
    for angle in (radians(40 + 90 * number) for number in range(4)):
        along, across = np.array([cos(angle), sin(angle)]), np.array([-sin(angle), cos(angle)])
        hub = np.array([200, 160])
        corners = [(40, 0), (165, 0), (165, 36), (40, 36), (40, 0)]
        sails.append(line(tuple(hub), tuple(hub + 168 * along)))
        sails.append(line(*(tuple(hub + far * along + side * across) for far, side in corners), fill="white"))
        sails += [line(*(tuple(hub + far * along + side * across) for side in (0, 36))) for far in (80, 122)]
    return [line((10, 392), (390, 388), colour="green"), *tower, *sails]


def pencil() -> list[Stroke]:
    return [
        line((90, 270), (300, 60), (340, 100), (130, 310), (90, 270), fill="yellow"),
        line((90, 270), (60, 340), (130, 310), (90, 270), fill="moccasin"),
        line((69, 318), (60, 340), (81, 331), (69, 318), fill="black"),
        line((300, 60), (318, 42), (358, 82), (340, 100), (300, 60), fill="silver"),
        line((318, 42), (338, 22), (378, 62), (358, 82), (318, 42), fill="pink"),
        line((104, 284), (314, 74)), line((117, 297), (327, 87)),
    ]


def grapes() -> list[Stroke]:
    rows = [(130, (95, 150, 205, 260, 310)), (180, (120, 178, 235, 288)), (230, (150, 205, 262)), (280, (178, 232)),
            (330, (205,))]
    berries = [oval(x, y, 31, 31, fill="purple") for y, places in rows for x in places]
    return [curve((205, 105), (208, 60), (235, 25), colour="saddlebrown"),
            curve((210, 80), (150, 90), (110, 55), (160, 30), (210, 80), fill="green"), *berries]


def house() -> list[Stroke]:
    return [
        line((80, 190), (80, 380), (320, 380), (320, 190), (80, 190), fill="lightyellow"),
        line((20, 205), (85, 165), (130, 85), (270, 85), (315, 165), (380, 205), (20, 205), fill="blue"),
        line((175, 380), (175, 280), (230, 280), (230, 380), fill="saddlebrown"),
        line((105, 240), (105, 290), (155, 290), (155, 240), (105, 240), fill="lightblue"),
        line((250, 240), (250, 290), (300, 290), (300, 240), (250, 240), fill="lightblue"),
        line((130, 240), (130, 290)), line((105, 265), (155, 265)), line((275, 240), (275, 290)),
        line((250, 265), (300, 265)),
    ]


def fish() -> list[Stroke]:
    body = curve((30, 200), (90, 130), (180, 105), (260, 145), (310, 195), (260, 250), (180, 295), (90, 265), (30, 200),
                 fill="orange")
    return [
        line((300, 195), (385, 115), (365, 200), (385, 280), (300, 200), fill="orange"),
        curve((135, 115), (180, 60), (240, 75), (250, 138), fill="orange"), body,
        curve((165, 292), (190, 340), (230, 325), (235, 268), fill="orange"),
        oval(85, 180, 14, 14, fill="white"), oval(83, 180, 5, 5, fill="black"),
        curve((125, 145), (145, 200), (122, 255)), curve((32, 205), (50, 215), (70, 212)),
        curve((180, 180), (205, 200), (180, 222)),
        curve((225, 175), (248, 198), (225, 220)),
    ]


def hammer() -> list[Stroke]:
    return [
        line((178, 120), (170, 390), (225, 390), (222, 120), (178, 120), fill="peru"),
        curve((110, 60), (180, 50), (250, 52), (310, 70), (375, 130), (310, 112), (250, 122), (110, 118), (110, 60),
              fill="grey"),
        line((65, 50), (65, 128), (110, 122), (110, 56), (65, 50), fill="grey"),
    ]


def light_bulb() -> list[Stroke]:
    return [
        curve((160, 290), (150, 240), (95, 190), (90, 120), (130, 50), (200, 28), (270, 50), (310, 120), (305, 190),
              (250, 240), (240, 290), (160, 290), fill="lightyellow"),
        line((158, 290), (160, 360), (240, 360), (242, 290), (158, 290), fill="silver"),
        line((158, 312), (242, 305)), line((158, 335), (242, 328)), line((160, 358), (242, 350)),
        curve((175, 362), (200, 388), (228, 362), fill="black"),
        curve((180, 290), (170, 170), (185, 190), (200, 165), (215, 190), (230, 168), (220, 290)),
    ]


def chair() -> list[Stroke]:
    wood = "burlywood"
    return [
        line((100, 20), (100, 390), (122, 390), (122, 20), (100, 20), fill=wood),
        line((250, 5), (250, 200), (272, 200), (272, 5), (250, 5), fill=wood),
        *(line((122, y), (250, y - 14), (250, y + 14), (122, y + 28), (122, y), fill=wood) for y in (35, 85, 135)),
        line((100, 215), (265, 195), (335, 240), (165, 268), (100, 215), fill=wood),
        line((165, 268), (165, 395), (187, 395), (187, 264), fill=wood),
        line((313, 245), (313, 375), (335, 375), (335, 240), fill=wood),
        line((250, 258), (250, 340), (268, 340), (268, 254), fill=wood),
    ]


def tea_cup() -> list[Stroke]:
    return [
        oval(185, 330, 180, 40, fill="white"), oval(315, 195, 55, 55, -75, 205),
        curve((75, 140), (85, 240), (130, 320), (240, 320), (285, 240), (295, 140), fill="white"),
        oval(185, 140, 110, 32, fill="white"), oval(185, 148, 92, 20, fill="saddlebrown"),
        curve((150, 95), (138, 70), (160, 50), (148, 22), colour="grey"),
        curve((210, 95), (198, 70), (220, 50), (208, 22), colour="grey"),
    ]


def eiffel_tower() -> list[Stroke]:
    left = [(198, 40), (190, 130), (172, 235), (140, 310), (85, 392)]
    right = [(400 - x, y) for x, y in left]
    levels = [line((x, y), (400 - x, y)) for x, y in ((165, 238), (168, 222), (135, 312), (138, 296))]
    crosses = [line((left_x, top), (400 - low_x, low)) for left_x, top, low_x, low in
               ((192, 130, 184, 180), (184, 180, 172, 222), (165, 240, 142, 296))]
    mirrored = [line((400 - left_x, top), (low_x, low)) for left_x, top, low_x, low in
                ((192, 130, 184, 180), (184, 180, 172, 222), (165, 240, 142, 296))]
    shape = curve(*left, (125, 392), (150, 350), (200, 325), (250, 350), (275, 392), *reversed(right), fill="rosybrown")
    return [shape, *levels, *crosses, *mirrored, line((200, 40), (200, 8)), line((60, 393), (340, 392), colour="green")]


def giraffe() -> list[Stroke]:
    coat, patch = "gold", "saddlebrown"
    legs = [line((x, 260), (x - 4, 392), (x + 16, 392), (x + 22, 262), fill=coat) for x in (135, 165, 255, 282)]
    body = curve(
        (125, 235), (150, 205), (220, 200), (265, 180), (290, 110), (300, 60), (340, 45), (385, 75), (375, 92),
        (330, 90), (322, 150), (310, 240), (285, 275), (150, 275), (125, 235), fill=coat,
    )
    places = ((160, 235), (195, 225), (230, 245), (265, 225), (185, 260), (290, 190), (300, 150), (310, 110),
              (285, 250))
    spots = [oval(x, y, 14, 12, fill=patch) for x, y in places]
    horns = [line((312, 55), (306, 28)), line((328, 48), (326, 22)), oval(306, 25, 4, 4, fill=patch),
             oval(326, 18, 4, 4, fill=patch)]
    return [*legs, body, *spots, *horns, oval(345, 64, 4, 4, fill="black"), curve((124, 232), (100, 260), (105, 310))]


def pyramid() -> list[Stroke]:
    return [
        line((40, 330), (190, 70), (260, 350), (40, 330), fill="khaki"),
        line((190, 70), (370, 310), (260, 350), (190, 70), fill="darkkhaki"),
        line((70, 285), (250, 300), (330, 260)), line((103, 225), (234, 240), (288, 205)), line((140, 160), (217, 172)),
        line((5, 345), (395, 350), colour="peru"), oval(340, 60, 32, 32, fill="yellow"),
    ]


THINGS: dict[Thing, tuple[int, ...]] = {
    heart: (131,), dartboard: (125,), ice_cream: (124,), pear: (138,), sailing_boat: (128, 148), top_hat: (108,),
    balloons: (101,), scissors: (107, 50), sunflower: (114,), birthday_cake: (135,), gift_box: (142,), jupiter: (98,),
    windmill: (36, 37, 38, 39, 40), pencil: (29,), grapes: (136,), house: (104,),
    fish: (1, 2, 3, 4, 5, 6, 7, 8, 9), hammer: (42, 43, 44), light_bulb: (24,), chair: (25, 127), tea_cup: (26, 151),
    eiffel_tower: (11,), giraffe: (87,), pyramid: (84,),
}
"""Each with the numbers of the demo pictures that show one."""
