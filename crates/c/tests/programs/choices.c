/*
 * Prints the tokens that the library chooses, for a test in Rust to compare with its own.
 *
 *     choices CAMPAIGN_KEY ACCOUNT_KEY < CASES
 *
 * A case is a line: record, number of keys, temperature, top-k, top-p, min-p (floats as their bits), seed, steps. Four lines answer it: the choices from
 * whole rows, from lists, from lists without appending, and the largest logits after biasing.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "taggant.h"

enum { VOCABULARY = 1009, LISTED = 40 };

static uint64_t random_bits(uint64_t *state) {
    uint64_t bits = *state += 0x9e3779b97f4a7c15u;
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9u;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebu;
    return bits ^ (bits >> 31);
}

static void fill(uint64_t *state, float *logits) {
    for (int token = 0; token < VOCABULARY; token++) logits[token] = (float)(random_bits(state) >> 40) * (12.0f / 16777216.0f);
}

static float as_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void check(int fine, const taggant_error *error) {
    if (fine) return;
    fprintf(stderr, "choices: %s\n", error->message);
    exit(2);
}

static taggant_error error;

/* One line of answers: way 0 whole rows, 1 lists, 2 lists without appending, 3 bias. */
static void answer(const taggant_sampler *sampler, const taggant_sampling *sampling, uint64_t seed, int steps, int way) {
    static float logits[VOCABULARY], listed[LISTED];
    uint32_t ids[LISTED], token = 0;
    taggant_stream *stream = taggant_stream_new(sampler, &error);
    check(stream != NULL, &error);
    for (int step = 0; step < steps; step++) {
        fill(&seed, logits);
        const uint64_t coin = random_bits(&seed);
        for (int place = 0; place < LISTED; place++) {
            ids[place] = (uint32_t)((place * 37 + step) % VOCABULARY);
            listed[place] = logits[ids[place]];
        }
        taggant_status status;
        if (way == 0) {
            status = taggant_select(stream, logits, VOCABULARY, sampling, coin, &token, &error);
        } else if (way == 1) {
            status = taggant_select_listed(stream, ids, listed, LISTED, sampling, coin, &token, &error);
        } else if (way == 2) {
            status = taggant_choose_listed(stream, ids, listed, LISTED, sampling, coin, &token, &error);
            if (status == TAGGANT_STATUS_OK) status = taggant_stream_push(stream, token, &error);
        } else {
            status = taggant_bias(stream, logits, VOCABULARY, sampling, &error);
            for (uint32_t other = token = 0; other < VOCABULARY; other++) token = logits[other] > logits[token] ? other : token;
            if (status == TAGGANT_STATUS_OK) status = taggant_stream_push(stream, token, &error);
        }
        check(status == TAGGANT_STATUS_OK, &error);
        printf(step > 0 ? " %" PRIu32 : "%" PRIu32, token);
    }
    printf("\n");
    taggant_stream_free(stream);
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    taggant_key *keys[2];
    for (int place = 0; place < 2; place++) {
        keys[place] = taggant_key_load(arguments[place + 1], &error);
        check(keys[place] != NULL, &error);
    }
    /* One sampler for all cases of a record, so that its working memory passes from setting to setting. */
    char path[1024], last[1024] = "";
    taggant_sampler *sampler = NULL;
    size_t key_count;
    uint32_t temperature, top_p, min_p;
    taggant_sampling sampling;
    uint64_t seed;
    int steps;
    while (scanf("%1023s %zu %" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNu64 " %d", path, &key_count, &temperature, &sampling.top_k,
                 &top_p, &min_p, &seed, &steps) == 8) {
        sampling.temperature = as_float(temperature);
        sampling.top_p = as_float(top_p);
        sampling.min_p = as_float(min_p);
        if (strcmp(path, last) != 0) {
            taggant_record *record = taggant_record_load(path, &error);
            check(record != NULL, &error);
            taggant_sampler_free(sampler);
            sampler = taggant_sampler_new(record, (const taggant_key *const *)keys, key_count, &error);
            check(sampler != NULL, &error);
            taggant_record_free(record);
            strcpy(last, path);
        }
        for (int way = 0; way < 4; way++) answer(sampler, &sampling, seed, steps, way);
    }
    taggant_sampler_free(sampler);
    taggant_key_free(keys[0]);
    taggant_key_free(keys[1]);
    return 0;
}
