/*
 * A sampler for llama.cpp that marks what it chooses. It is the last of a chain, in place of `dist`:
 *
 *     llama_sampler_chain_add(chain, llama_sampler_init_top_k(40));
 *     llama_sampler_chain_add(chain, llama_sampler_init_top_p(0.95f, 1));
 *     llama_sampler_chain_add(chain, llama_sampler_init_temp(0.8f));
 *     llama_sampler_chain_add(chain, taggant_llama_init(sampler, seed, NULL, NULL, &error));
 *
 * Compile taggant_llama.c with your program, against your llama.h and taggant.h, and link libtaggant. Whether record and model go together is
 * worth a line at start: taggant_record_vocabulary(record) == llama_vocab_n_tokens(vocab).
 *
 * Which tokens are the response
 * -----------------------------
 * Some programs of llama.cpp tell their samplers the prompt too (llama_sampler_accept), and none says where it ends. The mark must not reach into
 * it. So one accepted token counts for each time the sampler was asked to choose, the token that the program took, whether or not it is the one that the
 * sampler chose (a grammar may have refused it). What is accepted without having been asked for, a prompt, a user's turn, an answer's prefilled beginning,
 * is not part of a response, and whatever follows it is a new one. A program that does not accept prompts must call
 * llama_sampler_reset() before each response. Clones (drafts, checkpoints, llama_sampler_copy) carry the whole state.
 */
#ifndef TAGGANT_LLAMA_H
#define TAGGANT_LLAMA_H

#include "llama.h"
#include "taggant.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Told when no token can be chosen, with a message that lives during the call. */
typedef void (*taggant_llama_fault)(void *user, taggant_status status, const char *message);

/*
 * Makes the sampler. `sampler` may be freed afterwards. `seed` is for what the mark leaves to chance: a random one for each response, unless runs shall be
 * repeated; llama_sampler_reset() goes back to it, as it does with `dist`.
 *
 * When no token can be chosen (NaN among the logits, an id that the record's tokenizer does not have) `fault` is called, or a line is written to stderr if it is
 * NULL, and nothing is selected, on which llama.cpp stops: no unmarked text passes for marked. Without candidates nothing is selected either.
 *
 * Returns NULL on failure, with a message in `error`. llama_sampler_free(), or the chain's, frees it. One thread's at a time, as every sampler of llama.cpp.
 */
struct llama_sampler *taggant_llama_init(const taggant_sampler *sampler, uint64_t seed, taggant_llama_fault fault, void *user,
                                         taggant_error *error);

/* The response so far, which lives until the sampler changes; NULL for any other sampler. */
const taggant_stream *taggant_llama_stream(const struct llama_sampler *sampler);

#ifdef __cplusplus
}
#endif

#endif
