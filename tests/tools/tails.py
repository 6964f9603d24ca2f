"""Writes tests/vectors/tails/table.csv, the reference for the tails: python3 tests/tools/tails.py (Python 3.11, mpmath 1.3).

Nothing here is how the detector computes. Every tail is a plain sum of its terms in integer fixed point, the first term from
mpmath's log-gamma at 80 digits; the Poisson-binomial is the recurrence over its trials without tilting. Where mpmath's incomplete
beta and gamma functions converge, and where whole rational arithmetic is cheap, the sums are compared with those.

Columns: law, x, a, b, c, ln P(X >= x), and ln P(X < x) where the former is above ln 1/2. Whole numbers are decimal, real
arguments hexadecimal floats, hence exact. Arguments of each law:

    binomial           x successes   a trials      b probability   c -
    gamma              x sum         a shape       b -             c -
    poisson_binomial   x successes   a trials      b power         c 1 if flipped; see `probabilities`
    hypergeometric     x successes   a population  b marked        c draws
"""

import math
import pathlib
import sys
import time
from fractions import Fraction

import mpmath
from mpmath import mp, mpf

mp.dps = 80
DIGITS = 40
# Fixed point of the sums, relative to their first term.
BITS = 300

# ln p to aim at: negative numbers are -ln of the complement, for p near 1; 0 is the centre.
TARGETS = [-200, -27.63, -5, -1, 0, 1, 4, 15, 60, 250, 500, 800, 5000]


def ratio_sum(numerator, denominator):
    """1 + r(0) + r(0) r(1) + ..., r(i) = numerator(i) / denominator(i), of whole numbers."""
    term = total = 1 << BITS
    i = 0
    while term:
        term = term * numerator(i) // denominator(i)
        total += term
        i += 1
    return mpf(total) / mpf(1 << BITS)


def both(ln_part, upper):
    """ln p and, above one half, ln (1 - p), from the logarithm of either of the two."""
    other = mpmath.log1p(-mpmath.exp(ln_part))
    ln_p, ln_complement = (ln_part, other) if upper else (other, ln_part)
    return ln_p, (ln_complement if ln_p > -mpmath.ln2 else None)


def bisect(function, low, high, rounds=200):
    """Where a falling function crosses zero, as a float."""
    for _ in range(rounds):
        middle = 0.5 * (low + high)
        if function(middle) > 0:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def agree(mine, theirs, what):
    error = abs(mine - theirs)
    assert error < mpf(10) ** -42 * max(1, abs(mine)), (what, error)


# Binomial.

def ln_choose(n, k):
    return mpmath.loggamma(n + 1) - mpmath.loggamma(k + 1) - mpmath.loggamma(n - k + 1)


def binomial(k, n, p):
    exact = Fraction(p)
    top, bottom = exact.numerator, exact.denominator
    rest = bottom - top
    point = lambda j: ln_choose(n, j) + j * mpmath.log(mpf(top) / bottom) + (n - j) * mpmath.log(mpf(rest) / bottom)
    if k > n * exact:
        ln = point(k) + mpmath.log(ratio_sum(lambda i: (n - k - i) * top, lambda i: (k + 1 + i) * rest))
        result = both(ln, True)
    else:
        ln = point(k - 1) + mpmath.log(ratio_sum(lambda i: (k - 1 - i) * rest, lambda i: (n - k + 2 + i) * top))
        result = both(ln, False)
    if n <= 300:
        whole = sum(math.comb(n, j) * top**j * rest ** (n - j) for j in range(k, n + 1))
        agree(result[0], ln_ratio(whole, bottom**n), ("binomial", k, n, p))
        if 10 <= n and k > n * p and abs(result[0]) < 300 and 1e-3 < p < 0.999:
            beta = mpmath.betainc(k, n - k + 1, 0, mpf(top) / bottom, regularized=True)
            agree(result[0], mpmath.log(beta), ("betainc", k, n, p))
    return result


def ln_ratio(top, bottom):
    """ln (top / bottom) of whole numbers, without cancellation near one."""
    if 2 * top > bottom:
        return mpmath.log1p(-(mpf(bottom - top) / mpf(bottom)))
    return mpmath.log(mpf(top) / mpf(bottom))


def divergence(x, p):
    """Kullback-Leibler divergence of Bernoulli(p) from Bernoulli(x), roughly."""
    part = lambda a, b: 0.0 if a <= 0 else a * math.log(a / b)
    return part(x, p) + part(1 - x, 1 - p)


def binomial_rows():
    shares = [0.25, 0.5, 1073741823 / 2**32, 1073741825 / 2**32, 2863311531 / 2**32, 0.01, 0.9, 1e-4, 1 / 2**32, 1 - 1 / 2**32]
    for n in [1, 2, 3, 8, 40, 200, 1000, 10**4, 10**5, 10**6, 10**7, 10**8]:
        for p in shares:
            ks = {1, n} if n <= 3 or n * p < 3 or n * (1 - p) < 3 else set()
            if n * (1 - p) < 3:
                ks |= {n - 1, max(n - 5, 1)}
            for target in TARGETS:
                if target < 0:
                    k = bisect(lambda k: n * divergence(k / n, p) + target, 0, n * p, 80)
                elif target > 0:
                    k = bisect(lambda k: target - n * divergence(k / n, p), n * p, n, 80)
                else:
                    k = n * p
                ks |= {math.floor(k) + (target > 0)}
                if target == 0:
                    ks |= {math.floor(k) + 1}
            for k in sorted(ks):
                if 1 <= k <= n:
                    ln = binomial(k, n, p)
                    if -6000 < ln[0] and (ln[1] is None or ln[1] > -650):
                        yield ("binomial", k, n, p.hex(), ""), ln


# Gamma.

def gamma(x, n):
    exact = Fraction(x)
    top, bottom = exact.numerator, exact.denominator
    value = mpf(top) / bottom
    point = lambda j: j * mpmath.log(value) - value - mpmath.loggamma(j + 1)
    if x > n:
        ln = point(n - 1) + mpmath.log(ratio_sum(lambda i: (n - 1 - i) * bottom, lambda i: top))
        result = both(ln, True)
    else:
        ln = point(n) + mpmath.log(ratio_sum(lambda i: top, lambda i: (n + 1 + i) * bottom))
        result = both(ln, False)
    if n <= 1000 and abs(result[0]) < 300 and x > n:
        theirs = mpmath.log(mpmath.gammainc(n, value, mpmath.inf, regularized=True))
        agree(result[0], theirs, ("gammainc", x, n))
    return result


def gamma_rows():
    for n in [1, 2, 3, 7, 16, 50, 200, 1000, 10**4, 10**5, 10**6, 10**7, 10**8]:
        rate = lambda x: x - n - n * math.log(x / n)
        for target in TARGETS:
            for nudge in (1.0, 1.003):
                aim = target * nudge
                if target < 0:
                    x = bisect(lambda x: rate(x) + aim, n * math.exp(-2 - 650 / n), n, 100)
                elif target > 0:
                    x = bisect(lambda x: aim - rate(x), n, 10 * n + 10000, 100)
                else:
                    x = n + (nudge - 1) * 30 * math.sqrt(n)
                yield ("gamma", x.hex(), n, "", ""), gamma(x, n)


# Poisson-binomial.

def probabilities(n, power, flip):
    """u^power or 1 - u^power, u = ((2654435761 i mod 2^32) + 1/2) / 2^32, i from 1 to n, by repeated multiplication."""
    result = []
    for i in range(1, n + 1):
        u = ((i * 2654435761) % 2**32 + 0.5) / 2**32
        x = u
        for _ in range(power - 1):
            x = x * u
        result.append(1.0 - x if flip else x)
    return result


def poisson_binomial_rows():
    shapes = [
        (1, 1, 0), (2, 3, 1), (5, 1, 0), (20, 2, 0), (20, 40, 0), (60, 8, 1), (150, 4, 0), (400, 1, 0), (400, 16, 0),
        (400, 16, 1), (1000, 2, 0), (1000, 3, 1), (1000, 60, 0), (2500, 1, 0), (2500, 12, 0), (2500, 60, 1),
    ]
    for n, power, flip in shapes:
        # Down to e^-5200 for the larger lists: the masses are absolute.
        bits = 8200 if n >= 400 else 4000
        mass = [1 << bits] + [0] * n
        for count, p in enumerate(probabilities(n, power, flip)):
            top, bottom = p.as_integer_ratio()
            shift = bottom.bit_length() - 1
            rest = bottom - top
            for j in range(count + 1, 0, -1):
                mass[j] = (mass[j] * rest + mass[j - 1] * top) >> shift
            mass[0] = mass[0] * rest >> shift
        # Sums from either end, so that neither is a difference.
        upper, lower = [0] * (n + 2), [0] * (n + 2)
        for k in range(n, -1, -1):
            upper[k] = upper[k + 1] + mass[k]
        for k in range(1, n + 2):
            lower[k] = lower[k - 1] + mass[k - 1]
        assert abs(upper[0] - (1 << bits)) < (1 << (bits - 200))
        one = mpf(1 << bits)
        chosen = set()
        floor = 1 << 300  # enough digits
        for target in TARGETS:
            for nudge in (1.0, 1.3):
                limit = one * mpmath.exp(-abs(target * nudge))
                if target < 0:
                    chosen.add(max((k for k in range(1, n + 1) if lower[k] <= limit), default=1))
                else:
                    chosen.add(min((k for k in range(1, n + 1) if upper[k] <= limit * 0.6), default=n))
        for k in sorted(chosen):
            if min(upper[k], lower[k]) < floor:
                continue
            small = mpmath.log(mpf(min(upper[k], lower[k])) / one)
            ln = both(small, upper[k] <= lower[k])
            if -6000 < ln[0] and (ln[1] is None or ln[1] > -650):
                yield ("poisson_binomial", k, n, power, flip), ln


# Hypergeometric.

def hypergeometric(k, population, marked, draws):
    plain = population - marked - draws
    point = lambda j: ln_choose(marked, j) + ln_choose(population - marked, draws - j) - ln_choose(population, draws)
    if k * population > marked * draws:
        series = ratio_sum(lambda i: (marked - k - i) * (draws - k - i), lambda i: (k + 1 + i) * (plain + k + 1 + i))
        result = both(point(k) + mpmath.log(series), True)
    else:
        j = k - 1
        series = ratio_sum(lambda i: (j - i) * (plain + j - i), lambda i: (marked - j + 1 + i) * (draws - j + 1 + i))
        result = both(point(j) + mpmath.log(series), False)
    if population <= 5000:
        highest = min(marked, draws)
        whole = sum(math.comb(marked, j) * math.comb(population - marked, draws - j) for j in range(k, highest + 1))
        agree(result[0], ln_ratio(whole, math.comb(population, draws)), ("hypergeometric", k, population, marked, draws))
    return result


def hypergeometric_rows():
    shapes = [
        (2, 1, 1), (10, 4, 5), (10, 9, 9), (60, 20, 30), (500, 250, 100), (500, 499, 250), (5000, 1250, 1000), (5000, 4990, 4900),
        (5000, 17, 4000), (10**5, 25000, 3000), (10**5, 300, 60000), (10**6, 5 * 10**5, 2 * 10**5), (10**6, 999_000, 998_000),
        (10**7, 10**6, 10**4), (10**8, 25 * 10**6, 10**6), (10**8, 5 * 10**7, 5 * 10**7), (10**8, 99_999_999, 5 * 10**7),
        (10**8, 2, 99_999_999), (10**8, 10**4, 10**4),
    ]
    for population, marked, draws in shapes:
        lowest, highest = max(0, marked + draws - population), min(marked, draws)
        mean = marked * draws / population
        choose = lambda n, k: math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        peak = choose(population, draws)
        rate = lambda x: peak - choose(marked, x) - choose(population - marked, draws - x)
        least = rate(min(max(mean, lowest), highest))
        chosen = {lowest + 1, highest}
        for target in TARGETS:
            if target < 0:
                x = bisect(lambda x: rate(x) - least + target, lowest, mean, 80)
            elif target > 0:
                x = bisect(lambda x: target - rate(x) + least, mean, highest, 80)
            else:
                x = mean
            chosen |= {math.floor(x) + (target > 0)}
            if target == 0:
                chosen |= {math.floor(x) + 1}
        for k in sorted(chosen):
            if lowest < k <= highest:
                ln = hypergeometric(k, population, marked, draws)
                if -6000 < ln[0] and (ln[1] is None or ln[1] > -650):
                    yield ("hypergeometric", k, population, marked, draws), ln


def main():
    begin = time.monotonic()
    agree(ln_choose(10**5, 25_000), mpmath.log(math.comb(10**5, 25_000)), "ln_choose")
    path = pathlib.Path(__file__).resolve().parent.parent / "vectors" / "tails" / "table.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["law,x,a,b,c,ln_p,ln_complement"]
    for rows in (binomial_rows, gamma_rows, poisson_binomial_rows, hypergeometric_rows):
        for arguments, (ln_p, ln_complement) in rows():
            numbers = ["" if ln is None else mpmath.nstr(ln, DIGITS) for ln in (ln_p, ln_complement)]
            lines.append(",".join([*map(str, arguments), *numbers]))
            if len(lines) % 50 == 0:
                print(f"{len(lines)} rows, {time.monotonic() - begin:.0f} s: {arguments}", file=sys.stderr, flush=True)
    path.write_text("\n".join(lines) + "\n")
    print(f"{len(lines) - 1} rows, {path.stat().st_size} bytes, {time.monotonic() - begin:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
