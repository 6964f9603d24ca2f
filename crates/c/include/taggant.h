/*
 * Taggant: choose marked tokens, and detect marks.
 *
 * Does this text carry the mark? Keys and records are files that the `taggant` command makes:
 *
 *     taggant_error error;
 *     taggant_key *key = taggant_key_load("east.key", &error);
 *     taggant_record *record = taggant_record_load("mark.json", &error);
 *     if (key == NULL || record == NULL) { fprintf(stderr, "%s\n", error.message); return 2; }
 *
 *     const taggant_key *keys[] = {key};
 *     taggant_response response = {tokens, token_count, NULL, 0};
 *     taggant_report report;
 *     if (taggant_detect(record, keys, 1, &response, 1, 1e-6, &report, &error) != TAGGANT_STATUS_OK) { ... }
 *     printf("log10 p = %.1f over %llu units\n", report.log10_p, (unsigned long long)report.units);
 *
 * Marking: one sampler for all threads, one stream for each response, one call for each token:
 *
 *     taggant_sampler *sampler = taggant_sampler_new(record, keys, 1, &error);
 *     taggant_stream *stream = taggant_stream_new(sampler, &error);
 *     taggant_sampling sampling = {0.8f, 40, 0.95f, 0.0f};
 *     uint32_t token;
 *     taggant_select(stream, logits, vocabulary, &sampling, random_bits(), &token, &error);
 *
 * examples/mark.c is such a program; llama/taggant_llama.h is a sampler for llama.cpp.
 *
 * What holds for all functions
 * ----------------------------
 * - Arrays and strings are the caller's and are looked at during the call only. An array is NULL or has as many elements as the
 *   length after it says; NULL goes with length 0. Strings end with a zero byte and are UTF-8.
 * - A handle (taggant_key, taggant_record, taggant_sampler, taggant_stream) is made by a function that returns it and freed, once,
 *   by the function that is named after it. NULL may be freed.
 * - A handle that is passed as `const` may be used by any number of threads at once. One that is not, a stream that is changed or
 *   anything that is freed, must not be used by anyone else during the call.
 * - The last argument of whatever can fail is NULL or a place for a message. It is written only when the call fails: by a status
 *   other than TAGGANT_STATUS_OK, or by NULL in place of a handle. No message ever holds key material.
 * - After a failure everything is as it was, and nothing was written to the places for results, unless said otherwise.
 * - Nothing is global, no thread has state of its own, no signal or file descriptor is kept, nothing is printed. A fault of the
 *   library itself (a Rust panic) is a status too, after a line on stderr; unless you build it to abort on panics.
 *
 * Link with libtaggant.a (and -lpthread -ldl -lm) or libtaggant.so. Check at start, where they could differ, that
 * taggant_abi_version() is TAGGANT_ABI_VERSION.
 */


#ifndef TAGGANT_H
#define TAGGANT_H

#include <stddef.h>
#include <stdint.h>

// The version of this interface. It grows when a function, a structure or a meaning changes.
#define TAGGANT_ABI_VERSION 1

// How a call ended. Everything but `TAGGANT_STATUS_OK` is a failure, after which nothing has changed.
enum taggant_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Done.
  TAGGANT_STATUS_OK = 0,
  // A parameter lies outside its range.
  TAGGANT_STATUS_PARAMETER = 1,
  // A key file is malformed or can be read by others, or a key may not be used this way.
  TAGGANT_STATUS_KEY = 2,
  // A key path is not `epoch/role/id`.
  TAGGANT_STATUS_PATH = 3,
  // A mark record is malformed.
  TAGGANT_STATUS_RECORD = 4,
  // Two things that must belong together do not, such as a key and a record.
  TAGGANT_STATUS_MISMATCH = 5,
  // Logits that no distribution can be made of: NaN, +infinity, all of them -infinity, or not one for each token.
  TAGGANT_STATUS_LOGITS = 6,
  // A token id that is not in the vocabulary, or stands twice in a list.
  TAGGANT_STATUS_TOKEN = 7,
  // Text that is not what its format demands, such as a path that is not UTF-8.
  TAGGANT_STATUS_FORMAT = 8,
  // A size limit was exceeded.
  TAGGANT_STATUS_LIMIT = 9,
  // The request is well formed, but this version cannot serve it.
  TAGGANT_STATUS_UNSUPPORTED = 10,
  // Reading a file failed.
  TAGGANT_STATUS_IO = 11,
  // A pointer is NULL that must not be, or is not aligned.
  TAGGANT_STATUS_POINTER = 12,
  // A fault of this library. Please report it.
  TAGGANT_STATUS_INTERNAL = 13,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum taggant_status taggant_status;
#else
typedef int32_t taggant_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What a detection says.
enum taggant_verdict
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // There was text enough to see a mark of planning strength, and none was seen.
  TAGGANT_VERDICT_NOT_DETECTED = 0,
  // The p-value is at most alpha.
  TAGGANT_VERDICT_DETECTED = 1,
  // There was too little text: see `units` and `units_needed`.
  TAGGANT_VERDICT_INCONCLUSIVE = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum taggant_verdict taggant_verdict;
#else
typedef int32_t taggant_verdict;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// One key of a key tree: what marks are made and found with. May be shared among threads.
typedef struct taggant_key taggant_key;

// What was marked, how, and by which keys; never the keys. May be shared among threads.
typedef struct taggant_record taggant_record;

// A mark ready to embed: a record with its keys. Holds no state of a response, so any number of threads may share one.
typedef struct taggant_sampler taggant_sampler;

// The tokens of one response so far, without its prompt, and the mark it carries. One thread's at a time; different streams may be
// used by different threads at once.
typedef struct taggant_stream taggant_stream;

// The answer of a detection.
typedef struct {
  // The decimal logarithm of the p-value, exact where the p-value itself is too small for a double.
  double log10_p;
  // The probability of a score at least this large if the text is independent of the key: not of innocence. 0 when too small for a double.
  double p_value;
  // The statistic: larger means more mark.
  double score;
  // What the score would be on average if the text were independent of the key.
  double expected;
  // n: distinct units (a window and the token after it) that were scored. A unit counts once over all responses.
  uint64_t units;
  // Tokens looked at.
  uint64_t tokens;
  // When the verdict is inconclusive: units at which a mark of planning strength reaches alpha. 0 otherwise.
  uint64_t units_needed;
  // The verdict at alpha.
  taggant_verdict verdict;
} taggant_report;

// Temperature and truncation, applied in this order. The mark acts on what they leave. NULL stands for `{1, 0, 1, 0}`: none.
typedef struct {
  // Logits are divided by it. 0 takes the largest logit, which leaves nothing to mark.
  float temperature;
  // Keep this many of the largest logits; 0 keeps all.
  uint32_t top_k;
  // Keep the fewest tokens whose probability reaches this share: above 0, at most 1; 1 keeps all.
  float top_p;
  // Drop tokens less probable than this share of the most probable one, from 0 to 1; 0 drops none.
  float min_p;
} taggant_sampling;

// A response to look at: token ids without the prompt and without the stop token.
typedef struct {
  // The response's token ids.
  const uint32_t * tokens;
  // How many.
  size_t token_count;
  // The prompt's token ids; NULL when unknown. Windows that occur in it are not scored: text copied from the prompt says nothing about the model.
  const uint32_t * prompt;
  // How many.
  size_t prompt_count;
} taggant_response;

// What went wrong, in memory of the caller's; written when a call fails, and only then.
typedef struct {
  // The status, for functions that return a handle.
  taggant_status status;
  // For people: UTF-8 with a terminating zero. Names the value, the limit and the next step, and never holds key material. A longer message is cut.
  char message[508];
} taggant_error;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the library that is linked: compare it with `TAGGANT_ABI_VERSION`, which is the header's.
uint32_t taggant_abi_version(void);

// Reads a key file, as `taggant key derive` makes it. Only its owner may be able to read the file (mode 0600).
//
// Returns NULL on failure: `TAGGANT_STATUS_IO` (cannot be read), `TAGGANT_STATUS_KEY` (no key file, of the public family, or readable by others),
// `TAGGANT_STATUS_LIMIT` (over 4096 bytes), `TAGGANT_STATUS_FORMAT` (the path or the file is not UTF-8).
// The caller frees the key with `taggant_key_free`; samplers and detections made with it do not need it any more.
taggant_key *taggant_key_load(const char * path,
                              taggant_error * error);

// Reads a key from `length` bytes: those of a key file, for keys that are kept elsewhere. Wiping `json` is the caller's.
//
// Returns NULL on failure, as `taggant_key_load` does.
taggant_key *taggant_key_parse(const uint8_t * json,
                               size_t length,
                               taggant_error * error);

// Wipes and frees a key. NULL is allowed.
void taggant_key_free(taggant_key *key);

// Reads a record from a file, as `taggant generate --record` writes it.
//
// Returns NULL on failure: `TAGGANT_STATUS_IO` (cannot be read), `TAGGANT_STATUS_RECORD` (no record), `TAGGANT_STATUS_UNSUPPORTED` (of a scheme that this
// version does not have), `TAGGANT_STATUS_LIMIT` (over 65536 bytes), `TAGGANT_STATUS_FORMAT` (the path or the file is not UTF-8).
// The caller frees the record with `taggant_record_free`; samplers made with it do not need it any more.
taggant_record *taggant_record_load(const char * path,
                                    taggant_error * error);

// Reads a record from `length` bytes: those of a record's file. Returns NULL on failure, as `taggant_record_load` does.
taggant_record *taggant_record_parse(const uint8_t * json, size_t length, taggant_error * error);

// A new record, to be kept: without it nothing that was marked under it can be found.
//
// `scheme` is "gumbel", "tournament" or "greenlist", each with its default parameters; `window` is 1 to 8 tokens, 2 unless you know better;
// `keys` is one key, or a campaign key and an account key that share the windows evenly; `tokenizer` is the digest (32 bytes) of the
// tokenizer whose ids are marked, as `taggant` computes it; `vocabulary` is its number of ids, 2 to 2097152, which is also the number of logits.
//
// Returns NULL on failure: `TAGGANT_STATUS_UNSUPPORTED` (no such scheme), `TAGGANT_STATUS_PARAMETER` (`window`, `vocabulary`, no key), `TAGGANT_STATUS_KEY`
// (keys that do not make one mark), `TAGGANT_STATUS_FORMAT` (`scheme` is not UTF-8), `TAGGANT_STATUS_POINTER`.
taggant_record *taggant_record_new(const char * scheme,
                                   size_t window,
                                   const taggant_key *const * keys,
                                   size_t key_count,
                                   const uint8_t * tokenizer,
                                   size_t vocabulary,
                                   taggant_error * error);

// Writes a record as JSON, to be saved.
//
// `buffer` has room for `capacity` bytes. The text's length, without a terminating zero, goes to `length` in any case, so a first call with
// `capacity` 0 asks how much room is needed. The text is followed by a zero. Fails with `TAGGANT_STATUS_LIMIT` when the room does not suffice.
taggant_status taggant_record_json(const taggant_record *record,
                                   char * buffer,
                                   size_t capacity,
                                   size_t *length,
                                   taggant_error * error);

// The number of token ids of the record's tokenizer, which is the number of logits that `taggant_select` needs. 0 for NULL.
size_t taggant_record_vocabulary(const taggant_record *record);

// Frees a record. NULL is allowed.
void taggant_record_free(taggant_record *record);

// Pools responses and answers once: do they carry the record's mark?
//
// `keys` are the record's: its key, or the campaign key with or without the account key. `alpha` is the rate of false alarms you accept, between 0
// and 1; 1e-6 is usual. The answer says that the text depends on the key; not who wrote it.
// Fails with `TAGGANT_STATUS_MISMATCH` (keys that the record does not name), `TAGGANT_STATUS_TOKEN` (an id outside the vocabulary), `TAGGANT_STATUS_PARAMETER`
// (`alpha`, no key), `TAGGANT_STATUS_POINTER`. May be called by any number of threads with the same record and keys.
taggant_status taggant_detect(const taggant_record *record,
                              const taggant_key *const * keys,
                              size_t key_count,
                              const taggant_response * responses,
                              size_t response_count,
                              double alpha,
                              taggant_report *report,
                              taggant_error * error);

// `taggant_detect` under keys that the record does not name: a control. Under a key that was never near the text p-values are
// uniform, whatever the text. Fails as `taggant_detect` does.
taggant_status taggant_detect_control(const taggant_record *record,
                                      const taggant_key *const * keys,
                                      size_t key_count,
                                      const taggant_response * responses,
                                      size_t response_count,
                                      double alpha,
                                      taggant_report *report,
                                      taggant_error * error);

// Unites a record and its keys: the key of the record's only layer, or the campaign key and the account key, in any order.
//
// Returns NULL on failure: `TAGGANT_STATUS_MISMATCH` (a key is missing, or is not one that the record names), `TAGGANT_STATUS_PARAMETER` (no key), `TAGGANT_STATUS_POINTER`.
// The caller frees the sampler with `taggant_sampler_free`. Record and keys may be freed before it, and it before its streams.
taggant_sampler *taggant_sampler_new(const taggant_record *record,
                                     const taggant_key *const * keys,
                                     size_t key_count,
                                     taggant_error * error);

// Frees a sampler; its keys are wiped with the last stream of it. NULL is allowed.
void taggant_sampler_free(taggant_sampler *sampler);

// Begins a response. Returns NULL on failure: `TAGGANT_STATUS_POINTER`. The caller frees the stream with `taggant_stream_free`.
taggant_stream *taggant_stream_new(const taggant_sampler *sampler,
                                   taggant_error * error);

// Goes on with a response after its first `length` tokens: for saved, moved and preempted requests. The state is a function of the tokens.
//
// Returns NULL on failure: `TAGGANT_STATUS_TOKEN` (an id outside the vocabulary), `TAGGANT_STATUS_POINTER`.
taggant_stream *taggant_stream_resume(const taggant_sampler *sampler,
                                      const uint32_t * tokens,
                                      size_t length,
                                      taggant_error * error);

// Begins a response without a mark, through the same code. Returns NULL only when the library itself is at fault.
taggant_stream *taggant_stream_plain(taggant_error * error);

// A copy that goes its own way, for beams and drafts. Returns NULL on failure: `TAGGANT_STATUS_POINTER`.
taggant_stream *taggant_stream_clone(const taggant_stream *stream, taggant_error * error);

// Appends a token that was chosen elsewhere, or by `taggant_choose_listed`. Not the stop token, and no token of the prompt.
//
// Fails with `TAGGANT_STATUS_TOKEN` for an id outside the vocabulary, `TAGGANT_STATUS_POINTER`.
taggant_status taggant_stream_push(taggant_stream *stream,
                                   uint32_t token,
                                   taggant_error * error);

// The number of tokens so far. 0 for NULL.
size_t taggant_stream_length(const taggant_stream *stream);

// Copies the tokens so far into `tokens`, which has room for `capacity` ids. Fails with `TAGGANT_STATUS_LIMIT` when that is less than
// `taggant_stream_length`, `TAGGANT_STATUS_POINTER`.
taggant_status taggant_stream_tokens(const taggant_stream *stream,
                                     uint32_t * tokens,
                                     size_t capacity,
                                     taggant_error * error);

// Frees a stream, at any point of a response. NULL is allowed.
void taggant_stream_free(taggant_stream *stream);

// Chooses the next token of `stream` from raw logits, one for each token of the vocabulary, and appends it.
//
// `coin` is 64 random bits, new ones for every token, for what the mark leaves to chance; take them from a good generator. A logit of -infinity masks a token.
// Fails with `TAGGANT_STATUS_LOGITS` (not one logit for each token, NaN, +infinity, none finite), `TAGGANT_STATUS_PARAMETER` (`sampling`),
// `TAGGANT_STATUS_POINTER`. The stream is then as it was.
taggant_status taggant_select(taggant_stream *stream,
                              const float * logits,
                              size_t length,
                              const taggant_sampling *sampling,
                              uint64_t coin,
                              uint32_t *token,
                              taggant_error * error);

// Chooses the next token of `stream` among the candidates that an engine has left, and appends it: `ids[i]` has logit `logits[i]`, in any order.
//
// For the end of an engine's own chain, with `sampling` NULL when that has applied temperature and truncation already. The time taken
// depends on `length` alone. Fails with `TAGGANT_STATUS_TOKEN` (an id outside the vocabulary, or twice in the list), else as `taggant_select` does.
taggant_status taggant_select_listed(taggant_stream *stream,
                                     const uint32_t * ids,
                                     const float * logits,
                                     size_t length,
                                     const taggant_sampling *sampling,
                                     uint64_t coin,
                                     uint32_t *token,
                                     taggant_error * error);

// Chooses as `taggant_select_listed` does but appends nothing: for engines that may still refuse the token (a grammar, a draft model). Report
// what was taken in the end with `taggant_stream_push`. Fails as `taggant_select_listed` does.
taggant_status taggant_choose_listed(const taggant_stream *stream,
                                     const uint32_t * ids,
                                     const float * logits,
                                     size_t length,
                                     const taggant_sampling *sampling,
                                     uint64_t coin,
                                     uint32_t *token,
                                     taggant_error * error);

// Changes `logits` in place, one for each token of the vocabulary, so that an engine that draws from their softmax, at temperature 1 and without further
// truncation, draws from the marked distribution. Report what it drew with `taggant_stream_push`.
//
// With `sampling` NULL nothing but the mark is applied. A green list then only adds delta, and the engine may go on with its own temperature and
// truncation; the other schemes have chosen, and their result must not be reshaped. Fails as `taggant_select` does, and then leaves `logits` as they were.
taggant_status taggant_bias(const taggant_stream *stream,
                            float * logits,
                            size_t length,
                            const taggant_sampling *sampling,
                            taggant_error * error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* TAGGANT_H */
