/*
 * What one token costs, in microseconds of one thread: the median over 201 batches of 200 tokens, each batch a response.
 *
 *     cost KEY
 *
 * Compiled with -DLLAMA, against llama.h, also what llama.cpp's own last sampler costs, and ours in its place.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef LLAMA
#include "taggant_llama.h"
#else
#include "taggant.h"
#endif

enum { BATCHES = 201, TOKENS = 200, ROWS = 16 };

static uint64_t random_bits(uint64_t *state) {
    uint64_t bits = *state += 0x9e3779b97f4a7c15u;
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9u;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebu;
    return bits ^ (bits >> 31);
}

/* The thread's own time, so that other work on the machine counts less. */
static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec * 1e-3;
}

static int larger(const void *one, const void *other) {
    const double difference = *(const double *)one - *(const double *)other;
    return (difference > 0) - (difference < 0);
}

static void print(const char *what, const char *scheme, size_t size, double *batches) {
    qsort(batches, BATCHES, sizeof *batches, larger);
    printf("%-34s %-12s %7zu %9.3f\n", what, scheme, size, batches[BATCHES / 2] / TOKENS);
}

static void check(int fine) {
    if (fine) return;
    fprintf(stderr, "cost: a call failed\n");
    exit(2);
}

/* Logits of a model that has some idea: a peak above noise. */
static float logit(uint64_t *state, size_t place) {
    return (float)(random_bits(state) >> 40) / 16777216.0f * 6.0f + 8.0f / (float)(place + 1);
}

static void listed(const taggant_sampler *sampler, const char *scheme, uint32_t vocabulary, size_t size) {
    static uint32_t ids[ROWS][128];
    static float logits[ROWS][128];
    uint64_t random = 1;
    for (size_t row = 0; row < ROWS; row++) {
        for (size_t place = 0; place < size; place++) {
            /* 7919 is prime and larger than any row, so the ids of a row are different. */
            ids[row][place] = (uint32_t)((place * 7919 + row * 31) % vocabulary);
            logits[row][place] = logit(&random, place);
        }
    }
    double batches[BATCHES];
    for (int batch = 0; batch < BATCHES; batch++) {
        taggant_stream *stream = taggant_stream_new(sampler, NULL);
        const double start = now();
        for (int step = 0; step < TOKENS; step++) {
            const size_t row = random_bits(&random) % ROWS;
            uint32_t token;
            check(taggant_select_listed(stream, ids[row], logits[row], size, NULL, random_bits(&random), &token, NULL) == TAGGANT_STATUS_OK);
        }
        batches[batch] = now() - start;
        taggant_stream_free(stream);
    }
    print("taggant_select_listed", scheme, size, batches);
}

static void whole(const taggant_sampler *sampler, const char *scheme, size_t vocabulary) {
    float *logits = malloc(ROWS * vocabulary * sizeof *logits);
    check(logits != NULL);
    uint64_t random = 2;
    for (size_t place = 0; place < ROWS * vocabulary; place++) logits[place] = logit(&random, place % vocabulary);
    const taggant_sampling sampling = {1.0f, 50, 1.0f, 0.0f};
    double batches[BATCHES];
    for (int batch = 0; batch < BATCHES; batch++) {
        taggant_stream *stream = taggant_stream_new(sampler, NULL);
        const double start = now();
        for (int step = 0; step < TOKENS; step++) {
            const float *row = logits + random_bits(&random) % ROWS * vocabulary;
            uint32_t token;
            check(taggant_select(stream, row, vocabulary, &sampling, random_bits(&random), &token, NULL) == TAGGANT_STATUS_OK);
        }
        batches[batch] = now() - start;
        taggant_stream_free(stream);
    }
    print("taggant_select, top-k 50", scheme, vocabulary, batches);
    free(logits);
}

#ifdef LLAMA
/* Candidates are copied for every token, as a chain's are made anew; a copy is some 10 ns. */
static void in_a_chain(struct llama_sampler *sampler, const char *what, const char *scheme, uint32_t vocabulary, size_t size) {
    static llama_token_data rows[ROWS][128];
    llama_token_data candidates[128];
    uint64_t random = 3;
    for (size_t row = 0; row < ROWS; row++) {
        for (size_t place = 0; place < size; place++) {
            const llama_token id = (llama_token)((place * 7919 + row * 31) % vocabulary);
            rows[row][place] = (llama_token_data){id, logit(&random, place), 0.0f};
        }
    }
    double batches[BATCHES];
    for (int batch = 0; batch < BATCHES; batch++) {
        llama_sampler_reset(sampler);
        const double start = now();
        for (int step = 0; step < TOKENS; step++) {
            memcpy(candidates, rows[random_bits(&random) % ROWS], size * sizeof *candidates);
            llama_token_data_array array = {candidates, size, -1, false};
            llama_sampler_apply(sampler, &array);
            check(array.selected >= 0);
            llama_sampler_accept(sampler, array.data[array.selected].id);
        }
        batches[batch] = now() - start;
    }
    print(what, scheme, size, batches);
    llama_sampler_free(sampler);
}
#endif

int main(int count, char **arguments) {
    if (count != 2) return 2;
    taggant_error error;
    taggant_key *key = taggant_key_load(arguments[1], &error);
    if (key == NULL) {
        fprintf(stderr, "cost: %s\n", error.message);
        return 2;
    }
    const taggant_key *keys[] = {key};
    const size_t sizes[] = {40, 100};
    printf("%-34s %-12s %7s %9s\n", "", "scheme", "tokens", "us/token");
#ifdef LLAMA
    for (int i = 0; i < 2; i++) in_a_chain(llama_sampler_init_dist(1), "llama_sampler_init_dist", "none", 32000, sizes[i]);
#endif
    const char *schemes[] = {"gumbel", "tournament", "greenlist"};
    const size_t vocabularies[] = {32000, 128256};
    const uint8_t digest[32] = {0};
    for (int scheme = 0; scheme < 3; scheme++) {
        for (int which = 0; which < 2; which++) {
            taggant_record *record = taggant_record_new(schemes[scheme], 2, keys, 1, digest, vocabularies[which], &error);
            taggant_sampler *sampler = taggant_sampler_new(record, keys, 1, &error);
            if (sampler == NULL) {
                fprintf(stderr, "cost: %s\n", error.message);
                return 2;
            }
            for (int size = 0; which == 0 && size < 2; size++) {
                listed(sampler, schemes[scheme], (uint32_t)vocabularies[which], sizes[size]);
#ifdef LLAMA
                struct llama_sampler *marking = taggant_llama_init(sampler, 1, NULL, NULL, &error);
                check(marking != NULL);
                in_a_chain(marking, "taggant_llama_init", schemes[scheme], (uint32_t)vocabularies[which], sizes[size]);
#endif
            }
            whole(sampler, schemes[scheme], vocabularies[which]);
            taggant_sampler_free(sampler);
            taggant_record_free(record);
        }
    }
    taggant_key_free(key);
    return 0;
}
