/*
 * Marks 200 tokens of a toy model, finds the mark with the right key and finds nothing with another.
 *
 *     mark KEY OTHER_KEY        two key files, as made by `taggant key derive`
 *
 * In earnest the logits are your model's, the digest is its tokenizer's, and the record is saved: taggant_record_json.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "taggant.h"

enum { VOCABULARY = 1000, TOKENS = 200 };

/* In earnest: getrandom(), or your engine's generator, seeded from it. */
static uint64_t random_bits(uint64_t *state) {
    uint64_t bits = *state += 0x9e3779b97f4a7c15u;
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9u;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebu;
    return bits ^ (bits >> 31);
}

/* Stands for a language model: what comes next depends on what came last. */
static void toy_model(uint32_t last, float *logits) {
    uint64_t state = last;
    for (int token = 0; token < VOCABULARY; token++) {
        logits[token] = (float)(random_bits(&state) >> 40) / 16777216.0f * 8.0f;
    }
}

static int failed(const taggant_error *error) {
    fprintf(stderr, "mark: %s\n", error->message);
    return 2;
}

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "usage: mark KEY OTHER_KEY\n");
        return 2;
    }
    if (taggant_abi_version() != TAGGANT_ABI_VERSION) {
        fprintf(stderr, "mark: header and library differ\n");
        return 2;
    }
    taggant_error error;

    /* A key and the record of what it marks. */
    taggant_key *key = taggant_key_load(arguments[1], &error);
    if (key == NULL) return failed(&error);
    taggant_key *other = taggant_key_load(arguments[2], &error);
    if (other == NULL) return failed(&error);
    const taggant_key *keys[] = {key};
    const uint8_t digest[32] = {0};
    taggant_record *record = taggant_record_new("gumbel", 2, keys, 1, digest, VOCABULARY, &error);
    if (record == NULL) return failed(&error);

    /* One sampler for the whole server, one stream for each response. */
    taggant_sampler *sampler = taggant_sampler_new(record, keys, 1, &error);
    if (sampler == NULL) return failed(&error);
    taggant_stream *stream = taggant_stream_new(sampler, &error);
    if (stream == NULL) return failed(&error);

    static float logits[VOCABULARY];
    uint32_t tokens[TOKENS];
    const taggant_sampling sampling = {.temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.0f};
    uint64_t random = 1;
    for (int step = 0; step < TOKENS; step++) {
        toy_model(step > 0 ? tokens[step - 1] : 0, logits);
        if (taggant_select(stream, logits, VOCABULARY, &sampling, random_bits(&random), &tokens[step], &error) !=
            TAGGANT_STATUS_OK) {
            return failed(&error);
        }
    }

    /* Whoever has the tokens, the record and the key can find the mark, and whoever has another key finds nothing. */
    const taggant_response response = {.tokens = tokens, .token_count = TOKENS, .prompt = NULL, .prompt_count = 0};
    taggant_report right, wrong;
    if (taggant_detect(record, keys, 1, &response, 1, 1e-6, &right, &error) != TAGGANT_STATUS_OK) return failed(&error);
    const taggant_key *others[] = {other};
    if (taggant_detect_control(record, others, 1, &response, 1, 1e-6, &wrong, &error) != TAGGANT_STATUS_OK) {
        return failed(&error);
    }
    printf("right key: p = %.3g (log10 p = %.2f) over %" PRIu64 " units, score %.1f where %.1f is expected\n", right.p_value,
           right.log10_p, right.units, right.score, right.expected);
    printf("wrong key: p = %.3g (log10 p = %.2f) over %" PRIu64 " units, score %.1f where %.1f is expected\n", wrong.p_value,
           wrong.log10_p, wrong.units, wrong.score, wrong.expected);

    taggant_stream_free(stream);
    taggant_sampler_free(sampler);
    taggant_record_free(record);
    taggant_key_free(other);
    taggant_key_free(key);
    return right.verdict == TAGGANT_VERDICT_DETECTED && wrong.verdict != TAGGANT_VERDICT_DETECTED ? 0 : 1;
}
