/*
 * Many responses at once, cancelled, copied, saved and resumed at random, by eight threads that share one sampler.
 *
 *     stress KEY RECORD STEPS
 *
 * Says no if a resumed response goes on differently, or if memory grows once everything has been used.
 */
#include <inttypes.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "taggant.h"

enum { THREADS = 8, STREAMS = 8, VOCABULARY = 1009, LISTED = 40, LONGEST = 300 };

static const taggant_sampler *shared;
static long steps;

struct work {
    pthread_t thread;
    uint64_t random;
    long cancelled, resumed, copied, faults;
    taggant_stream *streams[STREAMS];
};

static uint64_t random_bits(uint64_t *state) {
    uint64_t bits = *state += 0x9e3779b97f4a7c15u;
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9u;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebu;
    return bits ^ (bits >> 31);
}

static int step(struct work *work, taggant_stream *stream, uint64_t seed, uint32_t *token) {
    uint32_t ids[LISTED];
    float logits[VOCABULARY];
    const uint32_t first = (uint32_t)(random_bits(&seed) % VOCABULARY);
    const int whole = random_bits(&seed) % 64 == 0;
    const int count = whole ? VOCABULARY : LISTED;
    for (int place = 0; place < count; place++) {
        if (!whole) ids[place] = (first + (uint32_t)place * 37) % VOCABULARY;
        logits[place] = (float)(random_bits(&seed) >> 40) / 16777216.0f * 6.0f;
    }
    const taggant_sampling sampling = {0.7f, 1 + (uint32_t)(seed % 50), 0.95f, 0.0f};
    taggant_error error;
    const taggant_status status =
        whole ? taggant_select(stream, logits, VOCABULARY, &sampling, random_bits(&seed), token, &error)
              : taggant_select_listed(stream, ids, logits, LISTED, seed % 2 ? NULL : &sampling, random_bits(&seed), token, &error);
    work->faults += status != TAGGANT_STATUS_OK;
    return status == TAGGANT_STATUS_OK;
}

static void *run(void *argument) {
    struct work *work = argument;
    for (long i = 0; i < steps; i++) {
        taggant_stream **stream = &work->streams[i % STREAMS];
        const uint64_t what = random_bits(&work->random) % 512;
        const size_t length = taggant_stream_length(*stream);
        uint32_t token, again;
        if (what == 0 || length >= LONGEST || *stream == NULL) {
            taggant_stream_free(*stream);
            *stream = taggant_stream_new(shared, NULL);
            work->cancelled++;
        } else if (what == 1) {
            /* Saved as tokens and resumed, it goes on as it would have. */
            uint32_t tokens[LONGEST];
            work->faults += taggant_stream_tokens(*stream, tokens, LONGEST, NULL) != TAGGANT_STATUS_OK;
            taggant_stream *resumed = taggant_stream_resume(shared, tokens, length, NULL);
            const uint64_t seed = random_bits(&work->random);
            if (step(work, resumed, seed, &again) && step(work, *stream, seed, &token)) work->faults += token != again;
            taggant_stream_free(*stream);
            *stream = resumed;
            work->resumed++;
        } else if (what == 2) {
            taggant_stream *copy = taggant_stream_clone(*stream, NULL);
            taggant_stream_free(*stream);
            *stream = copy;
            work->copied++;
        } else if (what == 3) {
            work->faults += taggant_stream_push(*stream, VOCABULARY, NULL) != TAGGANT_STATUS_TOKEN;
        }
        (void)step(work, *stream, random_bits(&work->random), &token);
    }
    return NULL;
}

static void phase(struct work *works, long count) {
    steps = count / THREADS;
    for (int i = 0; i < THREADS; i++) {
        if (pthread_create(&works[i].thread, NULL, run, &works[i]) != 0) exit(2);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(works[i].thread, NULL);
        for (int place = 0; place < STREAMS; place++) {
            taggant_stream_free(works[i].streams[place]);
            works[i].streams[place] = NULL;
        }
    }
}

/*
 * Bytes that were asked for and not given back. Resident memory says less: what is given back stays with the threads' allocators. Sanitizers and valgrind
 * replace the allocator, so that this is 0, and look for leaks themselves.
 */
static size_t used(void) {
    return mallinfo2().uordblks;
}

/* Resident memory in kB; 0 where the system does not say. */
static long resident(void) {
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%*d %ld", &pages) != 1) pages = 0;
    if (file != NULL) fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

int main(int count, char **arguments) {
    if (count != 4) return 2;
    taggant_error error;
    taggant_key *key = taggant_key_load(arguments[1], &error);
    taggant_record *record = taggant_record_load(arguments[2], &error);
    if (key == NULL || record == NULL) return 2;
    const taggant_key *keys[] = {key};
    taggant_sampler *sampler = taggant_sampler_new(record, keys, 1, &error);
    if (sampler == NULL) return 2;
    taggant_key_free(key);
    taggant_record_free(record);
    shared = sampler;

    static struct work works[THREADS];
    for (int i = 0; i < THREADS; i++) works[i].random = (uint64_t)i;
    const long all = atol(arguments[3]);
    size_t bytes[4];
    long kilobytes[4];
    for (int part = 0; part < 4; part++) {
        phase(works, all / 4);
        bytes[part] = used();
        kilobytes[part] = resident();
    }
    taggant_sampler_free(sampler);
    struct work sum = {0};
    for (int i = 0; i < THREADS; i++) {
        sum.cancelled += works[i].cancelled;
        sum.resumed += works[i].resumed;
        sum.copied += works[i].copied;
        sum.faults += works[i].faults;
    }
    printf("%ld steps of %d streams on %d threads: %ld begun, %ld resumed, %ld copied, %ld faults\n", all, THREADS * STREAMS, THREADS,
           sum.cancelled, sum.resumed, sum.copied, sum.faults);
    for (int part = 0; part < 4; part++) printf("after %d/4: %zu bytes in use, %ld kB resident\n", part + 1, bytes[part], kilobytes[part]);
    /* Everything has been given back but working memory, which has grown to its size in the first quarter. One stream has some 2 kB. */
    return sum.faults == 0 && sum.resumed > 0 && sum.copied > 0 && bytes[3] < bytes[0] + 65536 ? 0 : 1;
}
