/*
 * Generates with a real model through llama.cpp's chain top-k, top-p, temperature, taggant, and detects what it wrote.
 *
 *     generate MODEL KEY OTHER_KEY RECORD PROMPT OUT
 *
 * OUT gets the token ids as a row for `taggant detect`. Says no unless the right key is found and the other is not.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "taggant_llama.h"

enum { TOKENS = 150, ROOM = 1024 };

static int failed(const taggant_error *error) {
    fprintf(stderr, "generate: %s\n", error->message);
    return 2;
}

static void quiet(enum ggml_log_level level, const char *text, void *user) {
    (void)user;
    if (level == GGML_LOG_LEVEL_ERROR) fputs(text, stderr);
}

int main(int count, char **arguments) {
    if (count != 7) return 2;
    llama_log_set(quiet, NULL);
    llama_backend_init();
    struct llama_model *model = llama_model_load_from_file(arguments[1], llama_model_default_params());
    if (model == NULL) return 2;
    const struct llama_vocab *vocab = llama_model_get_vocab(model);
    struct llama_context_params parameters = llama_context_default_params();
    parameters.n_ctx = 512;
    parameters.n_threads = parameters.n_threads_batch = 1;
    struct llama_context *context = llama_init_from_model(model, parameters);
    if (context == NULL) return 2;

    taggant_error error;
    taggant_key *key = taggant_key_load(arguments[2], &error);
    if (key == NULL) return failed(&error);
    taggant_key *other = taggant_key_load(arguments[3], &error);
    if (other == NULL) return failed(&error);
    taggant_record *record = taggant_record_load(arguments[4], &error);
    if (record == NULL) return failed(&error);
    if (taggant_record_vocabulary(record) != (size_t)llama_vocab_n_tokens(vocab)) {
        fprintf(stderr, "generate: the record is of another model\n");
        return 2;
    }
    const taggant_key *keys[] = {key}, *others[] = {other};
    taggant_sampler *sampler = taggant_sampler_new(record, keys, 1, &error);
    if (sampler == NULL) return failed(&error);

    struct llama_sampler *chain = llama_sampler_chain_init(llama_sampler_chain_default_params());
    llama_sampler_chain_add(chain, llama_sampler_init_top_k(40));
    llama_sampler_chain_add(chain, llama_sampler_init_top_p(0.95f, 1));
    llama_sampler_chain_add(chain, llama_sampler_init_temp(1.0f));
    struct llama_sampler *marking = taggant_llama_init(sampler, 1, NULL, NULL, &error);
    if (marking == NULL) return failed(&error);
    llama_sampler_chain_add(chain, marking);
    taggant_sampler_free(sampler);

    llama_token prompt[ROOM], ids[TOKENS];
    const int prompt_count = llama_tokenize(vocab, arguments[5], (int)strlen(arguments[5]), prompt, ROOM, true, true);
    if (prompt_count <= 0) return 2;
    /* As some of llama.cpp's programs do. */
    for (int i = 0; i < prompt_count; i++) llama_sampler_accept(chain, prompt[i]);

    struct llama_batch batch = llama_batch_get_one(prompt, prompt_count);
    int written = 0;
    for (; written < TOKENS; written++) {
        if (llama_decode(context, batch) != 0) return 2;
        ids[written] = llama_sampler_sample(chain, context, -1);
        if (llama_vocab_is_eog(vocab, ids[written])) break;
        batch = llama_batch_get_one(&ids[written], 1);
        /* A clone in the middle goes its own way and leaves the original alone. */
        if (written == TOKENS / 2) {
            struct llama_sampler *clone = llama_sampler_clone(chain);
            llama_sampler_accept(clone, 0);
            llama_sampler_reset(clone);
            llama_sampler_free(clone);
        }
    }
    char text[8192];
    const int length = llama_detokenize(vocab, ids, written, text, sizeof text, false, false);
    printf("%.*s\n", length > 0 ? length : 0, text);

    /* What the sampler took for the response is the response. */
    uint32_t tokens[TOKENS];
    const size_t counted = taggant_stream_length(taggant_llama_stream(marking));
    if (counted > TOKENS || taggant_stream_tokens(taggant_llama_stream(marking), tokens, TOKENS, &error) != TAGGANT_STATUS_OK) return 1;
    if (counted != (size_t)(written < TOKENS ? written + 1 : written)) return 1;
    for (int i = 0; i < written; i++) {
        if (tokens[i] != (uint32_t)ids[i]) return 1;
    }

    FILE *out = fopen(arguments[6], "w");
    if (out == NULL) return 2;
    fprintf(out, "{\"id\":1,\"tokens\":[");
    for (int i = 0; i < written; i++) fprintf(out, i > 0 ? ",%d" : "%d", ids[i]);
    fprintf(out, "]}\n");
    if (fclose(out) != 0) return 2;

    const taggant_response response = {tokens, (size_t)written, NULL, 0};
    taggant_report right, wrong;
    if (taggant_detect(record, keys, 1, &response, 1, 1e-6, &right, &error) != TAGGANT_STATUS_OK) return failed(&error);
    if (taggant_detect_control(record, others, 1, &response, 1, 1e-6, &wrong, &error) != TAGGANT_STATUS_OK) return failed(&error);
    printf("%d tokens, right key: log10 p = %.2f over %llu units; wrong key: log10 p = %.2f\n", written, right.log10_p,
           (unsigned long long)right.units, wrong.log10_p);

    llama_sampler_free(chain);
    taggant_record_free(record);
    taggant_key_free(other);
    taggant_key_free(key);
    llama_free(context);
    llama_model_free(model);
    llama_backend_free();
    return right.verdict == TAGGANT_VERDICT_DETECTED && wrong.verdict != TAGGANT_VERDICT_DETECTED ? 0 : 1;
}
