#include "taggant_llama.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct context {
    /* The beginning of a response, to be cloned; and the response so far. */
    taggant_stream *empty;
    taggant_stream *stream;
    uint64_t seed;
    uint64_t random;
    /* Asked to choose, and not told yet what was taken. */
    bool asked;
    /* Told of tokens that are not the response's. */
    bool outside;
    taggant_llama_fault fault;
    void *user;
    /* The candidates, as taggant.h takes them. */
    uint32_t *ids;
    float *logits;
    size_t room;
};

static const char *name(const struct llama_sampler *sampler);
static void accept_token(struct llama_sampler *sampler, llama_token token);
static void apply(struct llama_sampler *sampler, llama_token_data_array *candidates);
static void reset(struct llama_sampler *sampler);
static struct llama_sampler *clone(const struct llama_sampler *sampler);
static void release(struct llama_sampler *sampler);

/* By name, so that what older and newer versions of llama.h have besides is zero. Not const: some take it so. */
static struct llama_sampler_i marking = {
    .name = name,
    .accept = accept_token,
    .apply = apply,
    .reset = reset,
    .clone = clone,
    .free = release,
};

static void tell(const struct context *context, taggant_status status, const char *message) {
    if (context->fault != NULL) {
        context->fault(context->user, status, message);
    } else {
        fprintf(stderr, "taggant: %s\n", message);
    }
}

/* SplitMix64: 64 bits a step, and any seed will do. */
static uint64_t random_bits(uint64_t *state) {
    uint64_t bits = *state += 0x9e3779b97f4a7c15u;
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9u;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebu;
    return bits ^ (bits >> 31);
}

/* The beginning of a response; false, and the old one kept, when there is no memory for it. */
static bool begin(struct context *context) {
    if (taggant_stream_length(context->stream) == 0) return true;
    taggant_error error;
    taggant_stream *stream = taggant_stream_clone(context->empty, &error);
    if (stream == NULL) {
        tell(context, error.status, error.message);
        return false;
    }
    taggant_stream_free(context->stream);
    context->stream = stream;
    return true;
}

static bool make_room(struct context *context, size_t size) {
    if (size <= context->room) return true;
    uint32_t *ids = malloc(size * sizeof *ids);
    float *logits = malloc(size * sizeof *logits);
    if (ids == NULL || logits == NULL) {
        free(ids);
        free(logits);
        tell(context, TAGGANT_STATUS_LIMIT, "no memory for the candidates");
        return false;
    }
    free(context->ids);
    free(context->logits);
    context->ids = ids;
    context->logits = logits;
    context->room = size;
    return true;
}

/* The candidates' probabilities, which programs show to their users. */
static void fill_probabilities(llama_token_data_array *candidates) {
    float largest = -INFINITY;
    for (size_t i = 0; i < candidates->size; i++) largest = fmaxf(largest, candidates->data[i].logit);
    double sum = 0.0;
    for (size_t i = 0; i < candidates->size; i++) {
        candidates->data[i].p = expf(candidates->data[i].logit - largest);
        sum += candidates->data[i].p;
    }
    for (size_t i = 0; i < candidates->size; i++) candidates->data[i].p = (float)(candidates->data[i].p / sum);
}

static const char *name(const struct llama_sampler *sampler) {
    (void)sampler;
    return "taggant";
}

static void accept_token(struct llama_sampler *sampler, llama_token token) {
    struct context *context = sampler->ctx;
    if (!context->asked) {
        context->outside = true;
        return;
    }
    context->asked = false;
    taggant_error error;
    /* A negative id is none; as unsigned it is outside every vocabulary and refused. */
    if (taggant_stream_push(context->stream, (uint32_t)token, &error) != TAGGANT_STATUS_OK) {
        tell(context, error.status, error.message);
    }
}

static void apply(struct llama_sampler *sampler, llama_token_data_array *candidates) {
    struct context *context = sampler->ctx;
    candidates->selected = -1;
    if (candidates->size == 0) return;
    if (context->outside && !begin(context)) return;
    context->outside = false;
    if (!make_room(context, candidates->size)) return;
    for (size_t i = 0; i < candidates->size; i++) {
        context->ids[i] = (uint32_t)candidates->data[i].id;
        context->logits[i] = candidates->data[i].logit;
    }
    taggant_error error;
    uint32_t token;
    const taggant_status status = taggant_choose_listed(context->stream, context->ids, context->logits, candidates->size, NULL,
                                                        random_bits(&context->random), &token, &error);
    if (status != TAGGANT_STATUS_OK) {
        tell(context, status, error.message);
        return;
    }
    fill_probabilities(candidates);
    for (size_t i = 0; i < candidates->size; i++) {
        if (context->ids[i] == token) candidates->selected = (int64_t)i;
    }
    context->asked = true;
}

static void reset(struct llama_sampler *sampler) {
    struct context *context = sampler->ctx;
    /* Without memory the next choice tries again. */
    context->outside = !begin(context);
    context->asked = false;
    context->random = context->seed;
}

static void discard(struct context *context) {
    if (context == NULL) return;
    taggant_stream_free(context->empty);
    taggant_stream_free(context->stream);
    free(context->ids);
    free(context->logits);
    free(context);
}

static struct llama_sampler *clone(const struct llama_sampler *sampler) {
    const struct context *old = sampler->ctx;
    struct context *context = malloc(sizeof *context);
    if (context == NULL) return NULL;
    *context = *old;
    context->ids = NULL;
    context->logits = NULL;
    context->room = 0;
    context->empty = taggant_stream_clone(old->empty, NULL);
    context->stream = taggant_stream_clone(old->stream, NULL);
    if (context->empty == NULL || context->stream == NULL) {
        discard(context);
        return NULL;
    }
    return llama_sampler_init(&marking, context);
}

static void release(struct llama_sampler *sampler) {
    discard(sampler->ctx);
}

struct llama_sampler *taggant_llama_init(const taggant_sampler *sampler, uint64_t seed, taggant_llama_fault fault, void *user,
                                         taggant_error *error) {
    struct context *context = calloc(1, sizeof *context);
    if (context == NULL) {
        if (error != NULL) {
            error->status = TAGGANT_STATUS_LIMIT;
            snprintf(error->message, sizeof error->message, "no memory for a sampler");
        }
        return NULL;
    }
    context->seed = seed;
    context->random = seed;
    context->fault = fault;
    context->user = user;
    context->empty = taggant_stream_new(sampler, error);
    if (context->empty != NULL) context->stream = taggant_stream_clone(context->empty, error);
    if (context->stream == NULL) {
        discard(context);
        return NULL;
    }
    return llama_sampler_init(&marking, context);
}

const taggant_stream *taggant_llama_stream(const struct llama_sampler *sampler) {
    if (sampler == NULL || sampler->iface != &marking) return NULL;
    return ((const struct context *)sampler->ctx)->stream;
}
