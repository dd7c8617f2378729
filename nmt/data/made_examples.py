"""Built-in examples, made by small grammars that were written for this project, and the digits of scikit-learn.

    builtin:names      a made-up surname -> the language that it looks like        Kowalewicz -> Polish
    builtin:tags       an English caption -> the parts of speech of its words      A dog sleeps . -> DET NOUN VERB PUNCT
    builtin:reviews    a review of a film -> positive or negative                  The story was not dull. -> positive
    builtin:digits     the 8 rows of an image of a handwritten digit -> the digit  (needs scikit-learn)
    builtin:sums       pairs of a number and a mark -> the sum of the two marked numbers, with noise
    builtin:scenes     the features of two or three things -> a text in English, German or French
                       a red ball, two blue cubes and a green cup
    builtin:oscillators    the force on a mass at a damped spring -> its place at each moment, with noise
    builtin:heartbeats, builtin:long_heartbeats    a made-up electrocardiogram -> its wave at each moment

A review may negate its adjectives, and the clause after `but` (or the one without `although`) decides, so counting
words is not enough. Every call gives the same examples, and no text is in two splits.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np

from nmt.data.captions import tagged, with_entities
from nmt.errors import UserError, how_to_install

Rows = list[tuple[Any, ...]]

HELD_OUT = 1000
"""Number of examples of the test split, and of the validation split."""
SEED = 1

NAMES = {
    "Dutch": ("Bos Berg Meer Brink Dijk Hoek Broek Linde Velde Wal Kamp van_Oost van_West van_der_Bos "
              "van_der_Meer van_den_Berg van_den_Broek de_Groot de_Jong ter_Horst ter_Braak",
              "en er el in s van", "huis man sma stra ink dam kamp dijk"),
    "English": ("Ash Black Brad Clay Cole Dun Fair Gold Hart Lang Mar New Pem Rad Stan Strat Thorn Whit Wood Win",
                "ber well mer ing der cast wor ness", "ton ford field worth ham son wood ley shaw bridge"),
    "Finnish": ("Ha Ka Ko La Le Mä Nie Pe Ri Sa Sö Ta Tuo Vä Yli Ahti Ranta Koski Mäki Lehto",
                "ra pa ka mi ta no va ri ku nä", "nen lainen läinen mäki niemi la ranta koski"),
    "French": ("Beau Bon Char Clé Cour Dé Du Fon Gau La Mar Mon Per Ri Rou Saint Vau Vil",
               "bu cha don ge lan mon pa ri ten vi", "eau ier ard ot in ais eux ault elle court"),
    "German": ("Bau Eich Fuchs Gru Hof Kauf Krä Lang Mül Neu Ober Rosen Schäf Schnei Stein Vogel Wag Zieg",
               "en er el ber mei her", "mann bauer bach meier berger hofer stein linger feld"),
    "Greek": ("Alex Anas Chris Dimi Geor Kara Kon Kyri Mav Niko Papa Pav Sta Theo Vas Zer",
              "an do gi lo mi no ta ti", "opoulos akis idis iadis oglou ellis"),
    "Italian": ("Bar Bel Bian Car Con Fer Gal Gra Lom Man Mar Mon Pel Ric Ros San Tor Val",
                "ba ca de lu na ne ta ti", "ini elli etti ucci ardi one aro ese ozzi"),
    "Japanese": ("Fuji Haya Ishi Kawa Kita Kuro Matsu Miya Mori Naka Nishi Oka Shima Taka Tani Yama Yoshi Hira",
                 "ha ki no sa shi", "moto mura shima da naka yama kawa zaki guchi"),
    "Polish": ("Bara Cie Dą Gra Ja Kowa Kra Le Ma No Pie Przy Ru Szy Wie Wró Za Zie",
               "bo cho le mi ni sz wa", "ski wski czyk wicz ak cki ński ek"),
    "Spanish": ("Alva Bena Cas Do Este Fernan Gon Gutié Her Jimé Lo Marti Nú Ori Pe Ramí Sán Val Velas",
                "bar de lla mi ne ri ta", "ez era osa uez ar ero illo ales"),
    "Turkish": ("Ak Ars Bay Çe Demir Er Gül Ka Kara Öz Şa Tek Tür Yıl Yılma Bol Kılı",
                "a ba da han ki ra soy ta", "oğlu türk kaya çı soy maz demir can"),
}  # fmt: skip
"""For each language: beginnings, middles and endings of surnames. `_` is a space; a name may have no middle."""

SUBJECTS = "the film, the story, the ending, the music, the cast, the director, the dialogue, the first half, the plot"
GOOD = "good brilliant charming clever funny gripping moving original touching warm wonderful witty fresh"
BAD = "bad awful boring clumsy confusing dull empty flat noisy predictable slow tiring weak"
DEGREES = ", very, really, quite, rather, surprisingly"
FRONTS = ", In the cinema, On the first evening, At the festival, For my family, On a long flight"


@lru_cache(maxsize=2)
def names() -> dict[str, Rows]:
    """Made-up surnames and their language."""

    def draw(rng: random.Random) -> tuple[str, ...]:
        language = rng.choice(list(NAMES))
        first, middle, last = (rng.choice(part.split()) for part in NAMES[language])
        name = first + (middle if rng.random() < 0.7 else "") + last
        return name.replace("_", " "), language

    return _splits(draw, 6000)


@lru_cache(maxsize=2)
def reviews() -> dict[str, Rows]:
    """Sentences about films, and whether they are positive or negative."""

    def clause(rng: random.Random, positive: bool) -> str:
        negated = rng.random() < 0.3
        adjective = rng.choice((GOOD if positive != negated else BAD).split())
        degree = "" if negated else rng.choice(DEGREES.split(","))
        return f"{rng.choice(SUBJECTS.split(', '))} was{' not' if negated else ''}{degree} {adjective}"

    def draw(rng: random.Random) -> tuple[str, ...]:
        positive, shape = rng.random() < 0.5, rng.randrange(4)
        own, other = clause(rng, positive), clause(rng, not positive)
        text = [own, f"{other}, but {own}", f"although {other}, {own}", f"{own}, although {other}"][shape]
        front = rng.choice(FRONTS.split(", "))
        text = f"{front}, {text}." if front else f"{text[0].upper()}{text[1:]}."
        return text, "positive" if positive else "negative"

    return _splits(draw, 8000)


NOISE = 0.02
"""Standard deviation of the noise of the numbers to predict."""
VIEW = 0.05
"""Standard deviation of the noise of what a driver sees."""


@lru_cache(maxsize=1)
def sums() -> dict[str, Rows]:
    """The adding problem (Hochreiter & Schmidhuber 1997): 10 to 20 pairs of a random number and a mark, two marked."""
    rng, splits = np.random.default_rng(SEED), dict[str, Rows]()
    for split, count in {"test": HELD_OUT, "validation": HELD_OUT, "train": 6000}.items():
        splits[split] = []
        for length in rng.integers(10, 21, count):
            pairs = np.stack([rng.random(length), np.zeros(length)], 1)
            pairs[rng.choice(length, 2, replace=False), 1] = 1
            splits[split].append((pairs.round(4), [float(pairs[:, 0] @ pairs[:, 1]) + rng.normal(0, NOISE)]))
    return splits


@lru_cache(maxsize=1)
def oscillators() -> dict[str, Rows]:
    """A force that changes now and then, and the place x of a mass with x'' = force - x - 0.4 x', in steps of 0.3."""
    rng, splits = np.random.default_rng(SEED), dict[str, Rows]()
    for split, count in {"test": 200, "validation": 100, "train": 1200}.items():
        force = np.repeat(rng.normal(size=(count, 10)), 12, axis=1)  # [examples, 120 steps]
        x, velocity, places = np.zeros(count), np.zeros(count), []
        for now in force.T:
            velocity = velocity + 0.3 * (now - x - 0.4 * velocity)
            x = x + 0.3 * velocity
            places.append(x)
        noisy = np.stack(places, 1) + rng.normal(0, NOISE, force.shape)
        splits[split] = list(zip(force.round(4), noisy, strict=True))
    return splits


@lru_cache(maxsize=1)
def track() -> dict[str, Rows]:
    """What the driver of a car sees on a winding track, and how far the wheels are turned, at each of 120 moments.

    With the curvature k of the track, the car's distance y from the middle line and its angle a to it, the driver wants
    s* = k - 0.5 y - a and turns the wheels slowly: s_t = s_(t-1) + 0.3 (s* - s_(t-1)). The car then moves on by a step
    of 0.2: a' = s - k, y' = a. Of (k, y, a) only a noisy view is given, which a network must average over time.
    """
    rng, splits = np.random.default_rng(SEED), dict[str, Rows]()
    for split, count in {"test": 200, "validation": 100, "train": 1200}.items():
        bends = np.repeat(rng.normal(0, 0.5, (count, 14)), 10, axis=1)  # [examples, steps]
        curvature = np.stack([bends[:, i : i + 20].mean(1) for i in range(120)], 1)
        y, angle, wheels = rng.normal(0, 0.3, count), rng.normal(0, 0.1, count), np.zeros(count)
        seen, turned = [], []
        for k in curvature.T:
            seen.append(np.stack([k, y, angle], 1))
            wheels = wheels + 0.3 * (k - 0.5 * y - angle - wheels)
            turned.append(wheels)
            angle = angle + 0.2 * (wheels - k)
            y = y + 0.2 * angle
        view = np.stack(seen, 1) + rng.normal(0, VIEW, (count, 120, 3))
        splits[split] = list(
            zip(view.round(4), np.stack(turned, 1) + rng.normal(0, NOISE, curvature.shape), strict=True)
        )
    return splits


WAVES = {"P": (-8.0, 1.5, 0.2), "QRS": (0.0, 0.8, 1.2), "T": (14.0, 2.5, 0.3)}
"""The waves of a heartbeat: place before or after the beat, width (in steps of 20 ms) and height."""


def heartbeat(rng: np.random.Generator, steps: int) -> tuple[Any, str]:
    """Two leads of a made-up electrocardiogram, [steps, 2], and the wave at each step: `rest`, `P`, `QRS` or `T`.

    It has the order of the waves, and no medical meaning. P and T waves have similar shapes, and an early beat has no P
    wave, so that the label of a step depends on the steps around it. Widths, heights and baseline differ from one
    recording to another.
    """
    time, waves = np.arange(steps), np.full(steps, "rest", dtype=object)
    drift = np.sin(time[:, None] * rng.uniform(0.01, 0.05, 2) + rng.uniform(0, 2 * np.pi, 2))
    signal = 0.3 * drift + rng.normal(0, 0.02, (steps, 2))
    heights = rng.uniform(0.7, 1.3, (3, 2)) * [[1, 0.6], [1, -0.5], [1, 0.7]]  # of each wave in each lead
    widths, pause, early, beat = rng.uniform(0.8, 1.25, 3), rng.uniform(35, 50), False, rng.uniform(0, 30)
    while beat < steps + 10:
        for own, width, (name, (place, usual, height)) in zip(heights, widths, WAVES.items(), strict=True):
            centre = beat + place * rng.normal(1, 0.05)
            near = slice(max(0, int(centre) - 15), max(0, int(centre) + 16))
            distance = (time[near] - centre) / (width * usual)
            if name != "P" or not early:
                signal[near] += height * np.exp(-(distance**2) / 2)[:, None] * own
                waves[near][np.abs(distance) <= 2] = name
        early = rng.random() < 0.2
        beat += (0.75 if early else 1) * pause * rng.normal(1, 0.03)
    return signal.round(3).astype(np.float32), " ".join(waves)


@lru_cache(maxsize=2)
def heartbeats(steps: int = 150, train: int = 800, others: int = 200) -> dict[str, Rows]:
    """Recordings of so many steps."""
    rng, counts = np.random.default_rng(SEED), {"test": others, "validation": others // 2, "train": train}
    return {split: [heartbeat(rng, steps) for _ in range(count)] for split, count in counts.items()}


SCENES: dict[str, dict[str, str]] = {
    "en": {
        "things": "ball-balls cube-cubes cup-cups book-books key-keys flower-flowers plate-plates car-cars",
        "colors": "red green blue yellow black white",
        "numbers": "a two three four",
        "and": " and ",
    },
    "de": {
        "things": "m-Ball-Bälle m-Würfel-Würfel f-Tasse-Tassen n-Buch-Bücher m-Schlüssel-Schlüssel f-Blume-Blumen "
        "m-Teller-Teller n-Auto-Autos",
        "colors": "rot grün blau gelb schwarz weiß",
        "numbers": "ein zwei drei vier",
        "and": " und ",
    },
    "fr": {
        "things": "m-ballon-ballons m-cube-cubes f-tasse-tasses m-livre-livres f-clé-clés f-fleur-fleurs "
        "f-assiette-assiettes f-voiture-voitures",
        "colors": "rouge-rouge vert-verte bleu-bleue jaune-jaune noir-noire blanc-blanche",
        "numbers": "un deux trois quatre",
        "and": " et ",
    },
}
"""For each language its words: the things with gender, singular and plural; the colours; the numbers."""


def describe_thing(language: str, thing: int, color: int, count: int) -> str:
    """`two red balls` in a language, with the endings of German and French adjectives."""
    words = {name: text.split() for name, text in SCENES[language].items()}
    *gender, singular, plural = words["things"][thing].split("-")
    noun, number = plural if count > 1 else singular, words["numbers"][count - 1]
    if language == "en":
        return f"{number} {words['colors'][color]} {noun}"
    if language == "de":
        ending = "e" if count > 1 else {"m": "er", "f": "e", "n": "es"}[gender[0]]
        return f"{number}{'e' * (count == 1 and gender == ['f'])} {words['colors'][color]}{ending} {noun}"
    adjective = words["colors"][color].split("-")[gender == ["f"]] + "s" * (count > 1)
    return f"{number}{'e' * (count == 1 and gender == ['f'])} {noun} {adjective}"


@lru_cache(maxsize=3)
def scenes(language: str = "en") -> dict[str, Rows]:
    """A vector for each thing, in random order, and what is there from left to right.

    A vector has a 1 for the kind of thing, one for its colour, the number of things, and their place between 0 (left)
    and 1 (right), all with noise. No two scenes are described alike.
    """
    rng, seen, splits = np.random.default_rng(SEED), set[str](), dict[str, Rows]()
    for split, count in {"test": HELD_OUT, "validation": HELD_OUT, "train": 8000}.items():
        splits[split] = []
        while len(splits[split]) < count:
            size = int(rng.integers(2, 4))
            things, colors, numbers = (rng.integers(0, most, size) for most in (8, 6, 4))
            places = np.sort(rng.random(size))
            drawn = zip(things.tolist(), colors.tolist(), numbers.tolist(), strict=True)
            said = [describe_thing(language, thing, color, number + 1) for thing, color, number in drawn]
            vectors = np.concatenate([np.eye(8)[things], np.eye(6)[colors], np.stack([numbers, places], 1)], 1)
            vectors = (vectors + rng.normal(0, 0.05, vectors.shape) * ([1] * 15 + [0.1])).round(4)
            order, key = rng.permutation(size), repr((things, colors, numbers))
            if np.diff(places).min() > 0.1 and key not in seen:
                seen.add(key)
                text = SCENES[language]["and"].join((", ".join(said[:-1]), said[-1]))
                splits[split].append((vectors[order].astype(np.float32), text))
    return splits


DIGITS = {"test": 300, "validation": 150, "train": 1347}
"""Number of images of each split."""


def check(name: str, target: str = "en") -> None:
    """Raises UserError if a package is missing that some built-in examples need, or for a language without scenes."""
    if name in IN_LANGUAGES and target not in SCENES:
        known = ", ".join(sorted(SCENES))
        raise UserError(f"`data.target` must be one of {known} for `builtin:{name}`, but is `{target}` instead")
    if name in ("digits", "digit_words"):
        try:
            import sklearn  # noqa: F401
        except ImportError:
            raise UserError(f"`builtin:{name}` needs scikit-learn: {how_to_install('[digits]')}") from None


@lru_cache(maxsize=1)
def digits() -> dict[str, Rows]:
    """Images of handwritten digits as sequences of 8 rows of 8 pixels, and the digit; in a random order."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(SEED).permutation(len(labels))
    rows = [(images[place].reshape(8, 8).astype(np.float32), str(labels[place])) for place in order]
    ends = np.cumsum(list(DIGITS.values())).tolist()
    return {split: rows[end - size : end] for (split, size), end in zip(DIGITS.items(), ends, strict=True)}


DIGIT_WORDS = {
    "de": "null eins zwei drei vier fünf sechs sieben acht neun",
    "en": "zero one two three four five six seven eight nine",
    "fr": "zéro un deux trois quatre cinq six sept huit neuf",
}


def digit_words(language: str = "en") -> dict[str, Rows]:
    """The images of `digits`, and the digit in words."""
    words = DIGIT_WORDS[language].split()
    return {split: [(image, words[int(label)]) for image, label in rows] for split, rows in digits().items()}


def _splits(draw: Callable[[random.Random], tuple[str, ...]], train: int) -> dict[str, Rows]:
    """Examples of each split, `train` of them for training; no text occurs twice in all of them."""
    rng, seen = random.Random(SEED), set[str]()
    splits: dict[str, Rows] = {"test": [], "validation": [], "train": []}
    for split, rows in splits.items():
        while len(rows) < (train if split == "train" else HELD_OUT):
            row = draw(rng)
            if row[0] not in seen:
                seen.add(row[0])
                rows.append(row)
    return splits


IN_LANGUAGES: dict[str, Callable[[str], dict[str, Rows]]] = {"scenes": scenes, "digit_words": digit_words}
"""The built-in examples whose texts are in the language of `data.target`."""

MADE: dict[str, Callable[[], dict[str, Rows]]] = {
    "names": names,
    "reviews": reviews,
    "tags": tagged,
    "digits": digits,
    "sums": sums,
    "oscillators": oscillators,
    "heartbeats": heartbeats,
    "long_heartbeats": partial(heartbeats, 12000, 32, 6),
    "scenes": scenes,
    "entities": with_entities,
    "track": track,
    "digit_words": digit_words,
}
"""The built-in examples by name."""
