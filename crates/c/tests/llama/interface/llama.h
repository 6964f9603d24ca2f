/*
 * The part of llama.cpp's llama.h that a sampler needs, written for the tests of taggant_llama.c where llama.cpp is not at hand: same names, same layout
 * (as of llama-cpp-python 0.3.36). `.ci/c --llama` compiles the same file against the real one.
 */
#ifndef LLAMA_H
#define LLAMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int32_t llama_token;

typedef struct llama_token_data {
    llama_token id;
    float logit;
    float p;
} llama_token_data;

typedef struct llama_token_data_array {
    llama_token_data *data;
    size_t size;
    int64_t selected;
    bool sorted;
} llama_token_data_array;

struct llama_sampler;
struct llama_sampler_data;
struct ggml_context;
struct ggml_cgraph;
struct ggml_tensor;
typedef struct ggml_backend_buffer_type *ggml_backend_buffer_type_t;
typedef void *llama_sampler_context_t;

struct llama_sampler_i {
    const char *(*name)(const struct llama_sampler *sampler);
    void (*accept)(struct llama_sampler *sampler, llama_token token);
    void (*apply)(struct llama_sampler *sampler, llama_token_data_array *candidates);
    void (*reset)(struct llama_sampler *sampler);
    struct llama_sampler *(*clone)(const struct llama_sampler *sampler);
    void (*free)(struct llama_sampler *sampler);
    bool (*backend_init)(struct llama_sampler *sampler, ggml_backend_buffer_type_t type, uint32_t most);
    void (*backend_accept)(struct llama_sampler *sampler, struct ggml_context *context, struct ggml_cgraph *graph, struct ggml_tensor *token);
    void (*backend_apply)(struct llama_sampler *sampler, struct ggml_context *context, struct ggml_cgraph *graph, struct llama_sampler_data *data);
    void (*backend_set_input)(struct llama_sampler *sampler);
    void (*backend_reset)(struct llama_sampler *sampler);
    void (*copy_state)(const struct llama_sampler *from, struct llama_sampler *to);
};

struct llama_sampler {
    struct llama_sampler_i *iface;
    llama_sampler_context_t ctx;
};

struct llama_sampler *llama_sampler_init(struct llama_sampler_i *interface, llama_sampler_context_t context);

#endif
