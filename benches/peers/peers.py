"""Peers on the work of our benchmarks, from their own packages, one thread: medians in microseconds a token, or tokens a second.

    pip install torch==2.13.0 transformers llama-cpp-python==0.3.36
    python benches/peers/peers.py [model.gguf]

Run it right after `cargo bench -p taggant-benches` on the same machine; `benches/results/` quotes both.
"""

import statistics
import sys
import time


def median(work, repeats, number=1):
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        for _ in range(number):
            work()
        times.append((time.perf_counter() - start) / number)
    return statistics.median(times)


def transformers_marks():
    import torch
    from transformers import SynthIDTextWatermarkLogitsProcessor, WatermarkDetector, WatermarkingConfig, WatermarkLogitsProcessor
    from transformers import PretrainedConfig

    torch.set_num_threads(1)
    for vocabulary in (32_000, 128_256):
        for batch in (1, 8, 64):
            logits = torch.randn(batch, vocabulary) * 4
            ids = torch.randint(0, vocabulary, (batch, 20))
            kgw = WatermarkLogitsProcessor(vocabulary, "cpu", greenlist_ratio=0.25, bias=2.0, seeding_scheme="lefthash")
            took = median(lambda: kgw(ids, logits), 9 if batch < 64 else 3)
            print(f"transformers KGW lefthash, bias, vocabulary {vocabulary}, batch {batch}: {took / batch * 1e6:.0f} us/token", flush=True)
        synthid = SynthIDTextWatermarkLogitsProcessor(ngram_len=3, keys=list(range(30)), sampling_table_size=2**16, sampling_table_seed=0, context_history_size=1024, device="cpu")
        logits, ids = torch.randn(1, vocabulary) * 4, torch.randint(0, vocabulary, (1, 20))
        took = median(lambda: synthid(ids, logits), 3)
        print(f"transformers SynthID, whole vocabulary {vocabulary}, batch 1: {took * 1e6:.0f} us/token", flush=True)

        config = WatermarkingConfig(greenlist_ratio=0.25, bias=2.0, seeding_scheme="lefthash")
        detector = WatermarkDetector(PretrainedConfig(vocab_size=vocabulary, bos_token_id=1), "cpu", config, ignore_repeated_ngrams=True)
        documents = torch.randint(2, vocabulary, (10, 200))
        took = median(lambda: detector(documents), 3)
        print(f"transformers KGW detector with deduplication, vocabulary {vocabulary}: {documents.numel() / took:.0f} tokens/s", flush=True)


def llama_cpp(model):
    import llama_cpp

    for threads in (1, 2):
        llama = llama_cpp.Llama(model, n_threads=threads, n_threads_batch=threads, n_ctx=512, verbose=False, seed=1)
        prompt = llama.tokenize(b"Explain to a curious reader how bridges stand.")

        def write(tokens=64):
            llama.reset()
            llama.eval(prompt)
            for _ in range(tokens):
                llama.eval([llama.sample(temp=1.0, top_p=0.95)])

        took = median(write, 3)
        print(f"llama.cpp, batch 1, {threads} thread(s): {64 / took:.1f} tokens/s", flush=True)
    for threads, batch in ((1, 8), (1, 32), (1, 64), (2, 64)):
        print(f"llama.cpp, batch {batch}, {threads} thread(s): {batched(llama_cpp, model, batch, threads):.1f} tokens/s", flush=True)


def batched(llama_cpp, model, batch, threads, tokens=32):
    """Greedy decoding of `batch` sequences in one context through the C interface."""
    import numpy as np

    parameters = llama_cpp.llama_context_default_params()
    parameters.n_ctx, parameters.n_batch, parameters.n_ubatch = 64 * batch + 64, 2048, 512
    parameters.n_seq_max, parameters.n_threads, parameters.n_threads_batch = batch, threads, threads
    parameters.kv_unified = True
    loaded = llama_cpp.llama_model_load_from_file(model.encode(), llama_cpp.llama_model_default_params())
    context = llama_cpp.llama_init_from_model(loaded, parameters)
    vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(loaded))

    def step(rows, position):
        room = llama_cpp.llama_batch_init(len(rows), 0, 1)
        room.n_tokens = len(rows)
        for i, token in enumerate(rows):
            room.token[i], room.pos[i], room.n_seq_id[i], room.seq_id[i][0], room.logits[i] = token, position, 1, i, 1
        assert llama_cpp.llama_decode(context, room) == 0
        chosen = []
        for i in range(len(rows)):
            logits = np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, i), shape=(vocabulary,))
            chosen.append(int(logits.argmax()))
        llama_cpp.llama_batch_free(room)
        return chosen

    times = []
    for _ in range(3):
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)
        rows = step([i + 100 for i in range(batch)], 0)
        start = time.perf_counter()
        for position in range(1, tokens + 1):
            rows = step(rows, position)
        times.append(batch * tokens / (time.perf_counter() - start))
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(loaded)
    return statistics.median(times)


transformers_marks()
if len(sys.argv) > 1:
    llama_cpp(sys.argv[1])
