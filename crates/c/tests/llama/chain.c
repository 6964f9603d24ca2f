/*
 * Drives taggant_llama.c as llama.cpp's programs drive their samplers, without llama.cpp.
 *
 *     chain KEY OTHER_KEY RECORD
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "taggant_llama.h"

enum { VOCABULARY = 100, LISTED = 24, TOKENS = 150, SEED = 5 };

static int faults, told;
static taggant_error error;

#define CHECK(fine)                                                                     \
    do {                                                                                \
        if (!(fine)) {                                                                  \
            printf("chain.c:%d: not so: %s (%s)\n", __LINE__, #fine, error.message);    \
            faults++;                                                                   \
        }                                                                               \
    } while (0)

struct llama_sampler *llama_sampler_init(struct llama_sampler_i *interface, llama_sampler_context_t context) {
    struct llama_sampler *sampler = malloc(sizeof *sampler);
    sampler->iface = interface;
    sampler->ctx = context;
    return sampler;
}

static void discard(struct llama_sampler *sampler) {
    sampler->iface->free(sampler);
    free(sampler);
}

static uint64_t random_bits(uint64_t *state) {
    uint64_t bits = *state += 0x9e3779b97f4a7c15u;
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9u;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebu;
    return bits ^ (bits >> 31);
}

static llama_token_data candidates[LISTED];

/* What a chain's truncation leaves at `step`: different ids, largest logits first. */
static llama_token_data_array truncated(int step) {
    uint64_t state = (uint64_t)step;
    for (int place = 0; place < LISTED; place++) {
        const float logit = 4.0f - 0.2f * (float)place - (float)(random_bits(&state) >> 40) / 16777216.0f * 0.2f;
        candidates[place] = (llama_token_data){(llama_token)((place * 37 + step * 11) % VOCABULARY), logit, 0.0f};
    }
    return (llama_token_data_array){candidates, LISTED, -1, true};
}

/* As llama_sampler_sample(): choose, and say what was taken. */
static uint32_t sample(struct llama_sampler *sampler, int step) {
    llama_token_data_array array = truncated(step);
    sampler->iface->apply(sampler, &array);
    CHECK(array.selected >= 0 && array.selected < LISTED);
    const llama_token token = array.data[array.selected].id;
    sampler->iface->accept(sampler, token);
    return (uint32_t)token;
}

static void hear(void *user, taggant_status status, const char *message) {
    CHECK(user == &told && status != TAGGANT_STATUS_OK && strlen(message) > 10);
    told++;
}

/* Whether the response so far is `tokens`. */
static int holds(const struct llama_sampler *sampler, const uint32_t *tokens, size_t count) {
    uint32_t found[2 * TOKENS];
    const taggant_stream *stream = taggant_llama_stream(sampler);
    return taggant_stream_length(stream) == count && taggant_stream_tokens(stream, found, 2 * TOKENS, &error) == TAGGANT_STATUS_OK &&
           (count == 0 || memcmp(found, tokens, count * sizeof *tokens) == 0);
}

int main(int count, char **arguments) {
    if (count != 4) return 2;
    taggant_key *key = taggant_key_load(arguments[1], &error);
    taggant_key *other = taggant_key_load(arguments[2], &error);
    taggant_record *record = taggant_record_load(arguments[3], &error);
    if (key == NULL || other == NULL || record == NULL) return 2;
    const taggant_key *keys[] = {key}, *others[] = {other};
    taggant_sampler *source = taggant_sampler_new(record, keys, 1, &error);
    if (source == NULL) return 2;

    CHECK(taggant_llama_init(NULL, SEED, NULL, NULL, &error) == NULL && error.status == TAGGANT_STATUS_POINTER);
    CHECK(taggant_llama_init(NULL, SEED, NULL, NULL, NULL) == NULL);
    struct llama_sampler *sampler = taggant_llama_init(source, SEED, hear, &told, &error);
    if (sampler == NULL) return 2;
    /* What the same choices are without llama.cpp. */
    taggant_stream *beside = taggant_stream_new(source, &error);
    taggant_sampler_free(source);

    /* What this file does not know is zero. */
    const struct llama_sampler_i *known = sampler->iface;
    CHECK(known->backend_init == NULL && known->backend_accept == NULL && known->backend_apply == NULL);
    CHECK(known->backend_set_input == NULL && known->backend_reset == NULL && known->copy_state == NULL);
    CHECK(strcmp(known->name(sampler), "taggant") == 0);

    /* A prompt, told token by token, is not the response; unsorted candidates make no difference; probabilities are filled in. */
    for (llama_token token = 0; token < 50; token++) known->accept(sampler, token);
    CHECK(holds(sampler, NULL, 0));
    uint32_t tokens[TOKENS];
    uint64_t coins = SEED;
    for (int step = 0; step < TOKENS; step++) {
        uint32_t ids[LISTED], token;
        float logits[LISTED];
        llama_token_data_array array = truncated(step);
        for (int place = 0; place < LISTED; place++) {
            ids[place] = (uint32_t)array.data[place].id;
            logits[place] = array.data[place].logit;
        }
        CHECK(taggant_select_listed(beside, ids, logits, LISTED, NULL, random_bits(&coins), &token, &error) == TAGGANT_STATUS_OK);
        for (int place = 0; step % 2 == 1 && place < LISTED / 2; place++) {
            const llama_token_data swapped = candidates[place];
            candidates[place] = candidates[LISTED - 1 - place];
            candidates[LISTED - 1 - place] = swapped;
        }
        array.sorted = step % 2 == 0;
        known->apply(sampler, &array);
        CHECK(array.selected >= 0 && (uint32_t)array.data[array.selected].id == token);
        double sum = 0.0;
        for (int place = 0; place < LISTED; place++) sum += array.data[place].p;
        CHECK(fabs(sum - 1.0) < 1e-5);
        known->accept(sampler, (llama_token)token);
        tokens[step] = token;
    }
    CHECK(holds(sampler, tokens, TOKENS));

    /* The mark is there for its key, and for no other. */
    const taggant_response response = {tokens, TOKENS, NULL, 0};
    taggant_report right, wrong;
    CHECK(taggant_detect(record, keys, 1, &response, 1, 1e-6, &right, &error) == TAGGANT_STATUS_OK);
    CHECK(taggant_detect_control(record, others, 1, &response, 1, 1e-6, &wrong, &error) == TAGGANT_STATUS_OK);
    CHECK(right.verdict == TAGGANT_VERDICT_DETECTED && wrong.verdict != TAGGANT_VERDICT_DETECTED);
    printf("%d tokens, right key: log10 p = %.2f over %llu units; wrong key: log10 p = %.2f\n", TOKENS, right.log10_p,
           (unsigned long long)right.units, wrong.log10_p);

    /* A clone goes on as the original does, and neither sees the other. */
    struct llama_sampler *clone = known->clone(sampler);
    uint32_t further[2 * TOKENS];
    memcpy(further, tokens, sizeof tokens);
    for (int step = 0; step < TOKENS; step++) further[TOKENS + step] = sample(clone, TOKENS + step);
    CHECK(holds(clone, further, 2 * TOKENS) && holds(sampler, tokens, TOKENS));
    for (int step = 0; step < TOKENS; step++) CHECK(sample(sampler, TOKENS + step) == further[TOKENS + step]);
    /* As llama_sampler_copy() does where there is no copy_state. */
    struct llama_sampler *copy = known->clone(clone);
    known->free(sampler);
    sampler->ctx = copy->ctx;
    free(copy);
    discard(clone);
    CHECK(holds(sampler, further, 2 * TOKENS));

    /* A reset begins the same response again. */
    known->reset(sampler);
    CHECK(holds(sampler, NULL, 0));
    for (int step = 0; step < TOKENS; step++) CHECK(sample(sampler, step) == tokens[step]);

    /* A user's turn is not part of a response, and the answer to it is a new one. */
    for (llama_token token = 0; token < 9; token++) known->accept(sampler, token);
    CHECK(holds(sampler, tokens, TOKENS));
    const uint32_t first = sample(sampler, 0);
    CHECK(holds(sampler, &first, 1));

    /* A grammar refuses the choice, asks again, and something else is taken. */
    known->reset(sampler);
    llama_token_data_array array = truncated(0);
    known->apply(sampler, &array);
    array = truncated(0);
    for (int place = 0; place < LISTED; place++) array.data[place].logit = place == 7 ? -30.0f : -INFINITY;
    known->apply(sampler, &array);
    CHECK(array.selected == 7 && array.data[7].p == 1.0f);
    const uint32_t taken = 3;
    known->accept(sampler, (llama_token)taken);
    CHECK(holds(sampler, &taken, 1));

    /* Where nothing can be chosen nothing is, and somebody hears of it. */
    array = truncated(1);
    array.data[3].logit = NAN;
    known->apply(sampler, &array);
    CHECK(array.selected == -1 && told == 1);
    array = truncated(1);
    array.data[3].id = VOCABULARY;
    known->apply(sampler, &array);
    CHECK(array.selected == -1 && told == 2);
    array.data[3].id = -1;
    known->apply(sampler, &array);
    CHECK(array.selected == -1 && told == 3);
    array.size = 0;
    known->apply(sampler, &array);
    CHECK(array.selected == -1 && told == 3);
    CHECK(holds(sampler, &taken, 1));
    array = truncated(1);
    known->apply(sampler, &array);
    CHECK(array.selected >= 0);
    known->accept(sampler, VOCABULARY);
    CHECK(told == 4 && holds(sampler, &taken, 1));

    struct llama_sampler foreign = {NULL, NULL};
    CHECK(taggant_llama_stream(NULL) == NULL && taggant_llama_stream(&foreign) == NULL);
    discard(sampler);
    taggant_stream_free(beside);
    taggant_record_free(record);
    taggant_key_free(key);
    taggant_key_free(other);
    printf("%d faults\n", faults);
    return faults == 0 ? 0 : 1;
}
