"""Threads, the interpreter's lock, and memory."""

import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from support import resident, sampler

import taggant
from taggant import Detector, bias_batch, detect

THREADS = 64


def ticks_during(work) -> tuple[int, float]:
    """How often this thread got its turn while another was in `work`, and how long that took."""
    other = threading.Thread(target=work)
    ticks, start = 0, time.perf_counter()
    other.start()
    while other.is_alive():
        time.sleep(0.001)
        ticks += 1
    return ticks, time.perf_counter() - start


class Runtime(unittest.TestCase):
    def test_many_threads_share_a_sampler(self):
        _, _, choose = sampler(vocabulary=2000)
        rows = np.random.default_rng(1).normal(size=(THREADS, 2000)).astype(np.float32)

        def respond(thread: int) -> list[int]:
            # Different parameters, so that desks change hands; the logits are read by all.
            options = {"temperature": 0.5 + thread % 4 / 4, "top_k": thread % 3 * 50}
            response: list[int] = []
            for step in range(40):
                response.append(choose.select(rows[(thread + step) % THREADS], response, coin=thread, **options))
            return response

        alone = [respond(thread) for thread in range(THREADS)]
        with ThreadPoolExecutor(THREADS) as pool:
            together = list(pool.map(respond, range(THREADS)))
        self.assertEqual(together, alone)

    def test_many_threads_share_a_detector(self):
        key, record, choose = sampler(vocabulary=2000)
        rng = np.random.default_rng(2)
        rows = [rng.integers(2000, size=400) for _ in range(4 * THREADS)]
        detector, expected = Detector(key, record), detect(key, record, rows)
        with ThreadPoolExecutor(THREADS) as pool:
            reports = list(pool.map(detector.row, rows))
        found = detector.pooled()
        self.assertEqual((found.units, found.tokens), (expected.units, expected.tokens))
        self.assertAlmostEqual(found.score, expected.score, delta=1e-9 * expected.score)
        self.assertEqual([report.score for report in reports[:8]], [detect(key, record, [row]).score for row in rows[:8]])

    def test_a_stream_serves_one_thread_at_a_time(self):
        _, _, choose = sampler(vocabulary=1 << 20)
        stream, logits = choose.stream([1, 2]), np.zeros(1 << 20, dtype=np.float32)
        outcomes: set[str] = set()

        def work(_: int) -> None:
            for _ in range(5):
                try:
                    taggant.select_batch([stream], logits[None])
                    outcomes.add("chosen")
                except taggant.ParameterError as error:
                    assert "in use" in str(error), error
                    outcomes.add("refused")

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
        self.assertIn("chosen", outcomes)

    def test_the_lock_is_not_held(self):
        key, record, choose = sampler(vocabulary=30_000)
        rows = [np.random.default_rng(3).integers(30_000, size=4_000_000, dtype=np.uint32)]
        batch = np.random.default_rng(4).normal(size=(600, 30_000)).astype(np.float32)
        streams = [choose.stream([1, 2]) for _ in range(600)]
        detector = Detector(key, record)
        for work in (
            lambda: detect(key, record, rows),
            lambda: detector.row(rows[0]),
            lambda: taggant.detect_each([key] * 10, record, [rows[0][:400_000]]),
            lambda: bias_batch(streams, batch, out=batch),
        ):
            ticks, seconds = ticks_during(work)
            # Held throughout, there would be two or three turns, whatever the time. A turn is 1 ms and what waking up takes.
            self.assertGreater(ticks, 8, f"{ticks} turns in {seconds:.3f} s")

    def test_memory_does_not_grow(self):
        key, record, choose = sampler(vocabulary=256)
        logits = np.random.default_rng(5).normal(size=(4, 256)).astype(np.float32)
        streams = [choose.stream([1, 2, 3]) for _ in range(4)]
        context = np.array([5, 6, 7])

        def steps(count: int) -> None:
            for step in range(count):
                choose.select(logits[0], context, temperature=0.9, top_k=20)
                bias_batch(streams, logits, [context] * 4)
                if step % 10 == 0:
                    detect(key, record, [context])
                    choose.stream(context).select(logits[1])
                if step % 100 == 0:
                    try:
                        choose.select(logits, context)
                    except taggant.LogitsError:
                        pass

        steps(2_000)
        before = resident()
        steps(100_000)
        self.assertLess(resident() - before, 2 << 20)


if __name__ == "__main__":
    unittest.main()
