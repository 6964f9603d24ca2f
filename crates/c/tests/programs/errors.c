/*
 * Every mistake that can be seen has its status and a message that says what is wrong.
 *
 *     errors FOLDER       with the files that errors.rs puts there
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "taggant.h"

enum { VOCABULARY = 100 };

static int faults;
static taggant_error error;

static void expect(int line, taggant_status found, taggant_status wanted, const char *words) {
    if (found != wanted || (wanted != TAGGANT_STATUS_OK && strstr(error.message, words) == NULL)) {
        printf("errors.c:%d: status %d, `%s`; expected status %d, `%s`\n", line, (int)found, error.message, (int)wanted, words);
        faults++;
    }
    memset(&error, 'x', sizeof error);
    error.message[0] = '\0';
}

/* A call that gives a status, and one that gives a handle. */
#define STATUS(call, wanted, words) expect(__LINE__, call, TAGGANT_STATUS_##wanted, words)
#define HANDLE(type, call, wanted, words)                                                             \
    do {                                                                                              \
        taggant_##type *made = call;                                                                  \
        expect(__LINE__, made == NULL ? error.status : TAGGANT_STATUS_OK, TAGGANT_STATUS_##wanted, words); \
        taggant_##type##_free(made);                                                                  \
    } while (0)

static char path_of[1024];
static const char *in(const char *folder, const char *name) {
    snprintf(path_of, sizeof path_of, "%s/%s", folder, name);
    return path_of;
}

static void keys_and_records(const char *folder, const taggant_key *key, const taggant_record *record, const uint8_t *digest) {
    HANDLE(key, taggant_key_load(NULL, &error), POINTER, "`path` is NULL");
    HANDLE(key, taggant_key_load(in(folder, "absent.key"), &error), IO, "absent.key: No such file");
    HANDLE(key, taggant_key_load(folder, &error), KEY, "others can read");
    HANDLE(key, taggant_key_load(in(folder, "private"), &error), IO, "private: Is a directory");
    HANDLE(key, taggant_key_load("/\xff\xfe.key", &error), FORMAT, "`path` is not UTF-8 at byte 1");
    HANDLE(key, taggant_key_load(in(folder, "open.key"), &error), KEY, "chmod 600");
    HANDLE(key, taggant_key_load(in(folder, "public.key"), &error), KEY, "public family");
    HANDLE(key, taggant_key_load(in(folder, "large.key"), &error), LIMIT, "larger than 4096 bytes");
    HANDLE(key, taggant_key_load(in(folder, "latin.key"), &error), FORMAT, "latin.key: not UTF-8 at byte 2");
    HANDLE(key, taggant_key_load(in(folder, "mark.json"), &error), KEY, "mark.json: ");
    HANDLE(key, taggant_key_load(in(folder, "empty.key"), &error), KEY, "empty.key: ");
    HANDLE(key, taggant_key_parse(NULL, 5, &error), POINTER, "`json` is NULL; 5 elements");
    HANDLE(key, taggant_key_parse((const uint8_t *)"{}", 2, &error), KEY, "");
    HANDLE(key, taggant_key_parse(NULL, 0, &error), KEY, "");
    HANDLE(key, taggant_key_parse((const uint8_t *)"\xff", 1, &error), FORMAT, "not UTF-8 at byte 0");
    HANDLE(key, taggant_key_parse((const uint8_t *)"{}", (size_t)-1, &error), LIMIT, "negative number");

    HANDLE(record, taggant_record_load(NULL, &error), POINTER, "`path` is NULL");
    HANDLE(record, taggant_record_load(in(folder, "absent.json"), &error), IO, "absent.json: No such file");
    HANDLE(record, taggant_record_load("\xc3.json", &error), FORMAT, "`path` is not UTF-8 at byte 0");
    HANDLE(record, taggant_record_load(in(folder, "right.key"), &error), RECORD, "right.key: ");
    HANDLE(record, taggant_record_load(in(folder, "large.json"), &error), LIMIT, "larger than 65536 bytes");
    HANDLE(record, taggant_record_parse((const uint8_t *)"[]", 2, &error), RECORD, "");
    HANDLE(record, taggant_record_load(in(folder, "mark.json"), &error), OK, "");

    const taggant_key *keys[] = {key, NULL};
    HANDLE(record, taggant_record_new("gumbel", 2, keys, 1, digest, VOCABULARY, &error), OK, "");
    HANDLE(record, taggant_record_new("gumble", 2, keys, 1, digest, VOCABULARY, &error), UNSUPPORTED, "scheme `gumble` is none of");
    HANDLE(record, taggant_record_new(NULL, 2, keys, 1, digest, VOCABULARY, &error), POINTER, "`scheme` is NULL");
    HANDLE(record, taggant_record_new("\x80", 2, keys, 1, digest, VOCABULARY, &error), FORMAT, "`scheme` is not UTF-8");
    HANDLE(record, taggant_record_new("gumbel", 9, keys, 1, digest, VOCABULARY, &error), PARAMETER, "9");
    HANDLE(record, taggant_record_new("gumbel", 2, keys, 0, digest, VOCABULARY, &error), PARAMETER, "no keys");
    HANDLE(record, taggant_record_new("gumbel", 2, NULL, 1, digest, VOCABULARY, &error), POINTER, "`keys` is NULL; 1 elements");
    HANDLE(record, taggant_record_new("gumbel", 2, keys, 2, digest, VOCABULARY, &error), POINTER, "`keys[1]` is NULL");
    HANDLE(record, taggant_record_new("gumbel", 2, keys, 1, NULL, VOCABULARY, &error), POINTER, "`tokenizer` is NULL; 32 elements");
    HANDLE(record, taggant_record_new("gumbel", 2, keys, 1, digest, 1, &error), PARAMETER, "vocabulary of 1 tokens");
    HANDLE(record, taggant_record_new("gumbel", 2, keys, 1, digest, (size_t)-1, &error), PARAMETER, "are supported");

    char json[4096];
    size_t length = 0, needed = 0;
    STATUS(taggant_record_json(record, NULL, 0, &needed, &error), LIMIT, "room for 0 bytes");
    STATUS(taggant_record_json(record, json, needed, &length, &error), LIMIT, "with its terminating zero");
    STATUS(taggant_record_json(record, json, needed + 1, &length, &error), OK, "");
    if (length != needed || strlen(json) != length) faults++;
    HANDLE(record, taggant_record_parse((const uint8_t *)json, length, &error), OK, "");
    STATUS(taggant_record_json(NULL, json, sizeof json, &length, &error), POINTER, "`record` is NULL");
    STATUS(taggant_record_json(record, NULL, sizeof json, &length, &error), POINTER, "`buffer` is NULL");
    STATUS(taggant_record_json(record, json, sizeof json, NULL, &error), POINTER, "`length` is NULL");
    if (taggant_record_vocabulary(NULL) != 0 || taggant_record_vocabulary(record) != VOCABULARY) faults++;
}

static void choices(const taggant_record *record, const taggant_key *key, const taggant_key *other) {
    const taggant_key *keys[] = {key, NULL}, *others[] = {other}, *twice[] = {key, key};
    HANDLE(sampler, taggant_sampler_new(NULL, keys, 1, &error), POINTER, "`record` is NULL");
    HANDLE(sampler, taggant_sampler_new(record, NULL, 1, &error), POINTER, "`keys` is NULL");
    HANDLE(sampler, taggant_sampler_new(record, keys, 0, &error), PARAMETER, "no keys");
    HANDLE(sampler, taggant_sampler_new(record, keys, 2, &error), POINTER, "`keys[1]` is NULL");
    HANDLE(sampler, taggant_sampler_new(record, others, 1, &error), MISMATCH, "does not belong to this record");
    HANDLE(sampler, taggant_sampler_new(record, twice, 2, &error), MISMATCH, "two keys");

    taggant_sampler *sampler = taggant_sampler_new(record, keys, 1, &error);
    HANDLE(stream, taggant_stream_new(NULL, &error), POINTER, "`sampler` is NULL");
    HANDLE(stream, taggant_stream_clone(NULL, &error), POINTER, "`stream` is NULL");
    const uint32_t beyond[] = {3, VOCABULARY};
    HANDLE(stream, taggant_stream_resume(sampler, beyond, 2, &error), TOKEN, "token id 100 at position 1 is not in the vocabulary of 100");
    HANDLE(stream, taggant_stream_resume(sampler, NULL, 2, &error), POINTER, "`tokens` is NULL; 2 elements");
    HANDLE(stream, taggant_stream_resume(sampler, NULL, 0, &error), OK, "");
    HANDLE(stream, taggant_stream_resume(NULL, beyond, 1, &error), POINTER, "`sampler` is NULL");

    const uint32_t begun[] = {1, 2, 3};
    taggant_stream *stream = taggant_stream_resume(sampler, begun, 3, &error);
    float logits[VOCABULARY] = {0};
    uint32_t ids[VOCABULARY], token = 77;
    for (uint32_t id = 0; id < VOCABULARY; id++) ids[id] = id;

    STATUS(taggant_select(NULL, logits, VOCABULARY, NULL, 1, &token, &error), POINTER, "`stream` is NULL");
    STATUS(taggant_select(stream, NULL, VOCABULARY, NULL, 1, &token, &error), POINTER, "`logits` is NULL; 100 elements");
    STATUS(taggant_select(stream, logits, VOCABULARY, NULL, 1, NULL, &error), POINTER, "`token` is NULL");
    STATUS(taggant_select(stream, logits, VOCABULARY - 1, NULL, 1, &token, &error), LOGITS, "99 logits for a vocabulary of 100");
    STATUS(taggant_select(stream, logits, 0, NULL, 1, &token, &error), LOGITS, "0 logits");
    STATUS(taggant_select(stream, logits, (size_t)-1, NULL, 1, &token, &error), LIMIT, "negative number");
    STATUS(taggant_select(stream, (const float *)((const char *)logits + 1), 1, NULL, 1, &token, &error), POINTER, "not aligned");
    const float bad[] = {NAN, INFINITY};
    for (int kind = 0; kind < 2; kind++) {
        logits[41] = bad[kind];
        STATUS(taggant_select(stream, logits, VOCABULARY, NULL, 1, &token, &error), LOGITS, "the logit of token 41 is");
        STATUS(taggant_bias(stream, logits, VOCABULARY, NULL, &error), LOGITS, "the logit of token 41 is");
        STATUS(taggant_select_listed(stream, ids + 40, logits + 40, 3, NULL, 1, &token, &error), LOGITS, "the logit of token 41 is");
        if (logits[40] != 0.0f) faults++;
    }
    for (int place = 0; place < VOCABULARY; place++) logits[place] = -INFINITY;
    STATUS(taggant_select(stream, logits, VOCABULARY, NULL, 1, &token, &error), LOGITS, "all 100 logits are -inf");
    STATUS(taggant_select_listed(stream, ids, logits, 7, NULL, 1, &token, &error), LOGITS, "all 7 logits are -inf");
    for (int place = 0; place < VOCABULARY; place++) logits[place] = 0.0f;

    const struct {
        taggant_sampling sampling;
        const char *words;
    } refused[] = {
        {{-1.0f, 0, 1.0f, 0.0f}, "temperature is -1"}, {{NAN, 0, 1.0f, 0.0f}, "temperature is NaN"}, {{1.0f, 0, 0.0f, 0.0f}, "top-p is 0"},
        {{1.0f, 0, 1.5f, 0.0f}, "top-p is 1.5"},       {{1.0f, 0, 1.0f, 2.0f}, "min-p is 2"},        {{1e-40f, 0, 1.0f, 0.0f}, "below 1e-38"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        STATUS(taggant_select(stream, logits, VOCABULARY, &refused[i].sampling, 1, &token, &error), PARAMETER, refused[i].words);
    }

    const uint32_t doubled[] = {5, 9, 5}, outside[] = {5, VOCABULARY, 6};
    STATUS(taggant_select_listed(stream, doubled, logits, 3, NULL, 1, &token, &error), TOKEN, "token id 5 stands at positions 0 and 2");
    STATUS(taggant_select_listed(stream, outside, logits, 3, NULL, 1, &token, &error), TOKEN, "token id 100 at position 1");
    STATUS(taggant_select_listed(stream, NULL, logits, 3, NULL, 1, &token, &error), POINTER, "`ids` is NULL; 3 elements");
    STATUS(taggant_select_listed(stream, ids, NULL, 3, NULL, 1, &token, &error), POINTER, "`logits` is NULL; 3 elements");
    STATUS(taggant_select_listed(stream, ids, logits, 0, NULL, 1, &token, &error), LOGITS, "no logits");
    STATUS(taggant_choose_listed(NULL, ids, logits, 3, NULL, 1, &token, &error), POINTER, "`stream` is NULL");
    STATUS(taggant_choose_listed(stream, outside, logits, 3, NULL, 1, &token, &error), TOKEN, "token id 100");
    STATUS(taggant_bias(NULL, logits, VOCABULARY, NULL, &error), POINTER, "`stream` is NULL");
    STATUS(taggant_bias(stream, logits, 3, NULL, &error), LOGITS, "3 logits for a vocabulary of 100");
    STATUS(taggant_stream_push(NULL, 1, &error), POINTER, "`stream` is NULL");
    STATUS(taggant_stream_push(stream, VOCABULARY, &error), TOKEN, "token id 100");
    STATUS(taggant_stream_push(stream, UINT32_MAX, &error), TOKEN, "token id 4294967295");

    /* Nothing of all that has left a trace. */
    uint32_t tokens[3];
    STATUS(taggant_stream_tokens(stream, tokens, 2, &error), LIMIT, "room for 2 tokens; the stream has 3");
    STATUS(taggant_stream_tokens(stream, NULL, 3, &error), POINTER, "`tokens` is NULL; 3 elements");
    STATUS(taggant_stream_tokens(NULL, tokens, 3, &error), POINTER, "`stream` is NULL");
    STATUS(taggant_stream_tokens(stream, tokens, 3, &error), OK, "");
    if (taggant_stream_length(stream) != 3 || memcmp(tokens, begun, sizeof begun) != 0 || token != 77) faults++;
    if (taggant_stream_length(NULL) != 0) faults++;
    STATUS(taggant_select(stream, logits, VOCABULARY, NULL, 1, &token, &error), OK, "");

    /* One possible token, however small, is chosen. */
    for (int place = 0; place < VOCABULARY; place++) logits[place] = -INFINITY;
    logits[7] = -FLT_MAX;
    STATUS(taggant_select(stream, logits, VOCABULARY, NULL, 1, &token, &error), OK, "");
    if (token != 7) faults++;

    /* Without a mark anything goes but what is no distribution. */
    taggant_stream *plain = taggant_stream_plain(&error);
    STATUS(taggant_stream_push(plain, UINT32_MAX, &error), OK, "");
    STATUS(taggant_select(plain, logits, 1, NULL, 1, &token, &error), LOGITS, "all 1 logits are -inf");
    taggant_stream_free(plain);
    taggant_stream_free(stream);
    taggant_sampler_free(sampler);
}

static void detections(const taggant_record *record, const taggant_key *key, const taggant_key *other) {
    const taggant_key *keys[] = {key, NULL}, *others[] = {other};
    uint32_t tokens[40];
    for (uint32_t i = 0; i < 40; i++) tokens[i] = i;
    taggant_response response = {tokens, 40, NULL, 0};
    taggant_report report = {.units = 12345};
    STATUS(taggant_detect(NULL, keys, 1, &response, 1, 1e-6, &report, &error), POINTER, "`record` is NULL");
    STATUS(taggant_detect(record, NULL, 1, &response, 1, 1e-6, &report, &error), POINTER, "`keys` is NULL");
    STATUS(taggant_detect(record, keys, 0, &response, 1, 1e-6, &report, &error), PARAMETER, "no keys");
    STATUS(taggant_detect(record, keys, 2, &response, 1, 1e-6, &report, &error), POINTER, "`keys[1]` is NULL");
    STATUS(taggant_detect(record, others, 1, &response, 1, 1e-6, &report, &error), MISMATCH, "does not belong to this record");
    STATUS(taggant_detect(record, keys, 1, NULL, 1, 1e-6, &report, &error), POINTER, "`responses` is NULL; 1 elements");
    STATUS(taggant_detect(record, keys, 1, &response, 1, 1e-6, NULL, &error), POINTER, "`report` is NULL");
    const double alphas[] = {0.0, 1.0, -1.0, NAN};
    for (int i = 0; i < 4; i++) {
        STATUS(taggant_detect(record, keys, 1, &response, 1, alphas[i], &report, &error), PARAMETER, "alpha is ");
    }
    tokens[11] = VOCABULARY;
    STATUS(taggant_detect(record, keys, 1, &response, 1, 1e-6, &report, &error), TOKEN, "response 0: ");
    tokens[11] = 11;
    response.tokens = NULL;
    STATUS(taggant_detect(record, keys, 1, &response, 1, 1e-6, &report, &error), POINTER, "`responses[0].tokens` is NULL; 40 elements");
    response.tokens = tokens;
    response.prompt = (const uint32_t *)((const char *)tokens + 1);
    response.prompt_count = 2;
    STATUS(taggant_detect(record, keys, 1, &response, 1, 1e-6, &report, &error), POINTER, "`responses[0].prompt` is not aligned");
    if (report.units != 12345) faults++;

    /* A prompt that holds the response leaves nothing to score; an empty one, known to be empty, leaves all. */
    response.prompt = tokens;
    response.prompt_count = 40;
    STATUS(taggant_detect(record, keys, 1, &response, 1, 1e-6, &report, &error), OK, "");
    if (report.units != 0 || report.verdict != TAGGANT_VERDICT_INCONCLUSIVE || report.units_needed == 0) faults++;
    response.prompt_count = 0;
    STATUS(taggant_detect(record, keys, 1, &response, 1, 1e-6, &report, &error), OK, "");
    if (report.units != 38 || report.tokens != 40) faults++;
    /* What is said twice counts once. */
    const taggant_response both[] = {response, response};
    STATUS(taggant_detect(record, keys, 1, both, 2, 1e-6, &report, &error), OK, "");
    if (report.units != 38 || report.tokens != 80 || !(report.log10_p <= 0.0)) faults++;
    STATUS(taggant_detect(record, keys, 1, NULL, 0, 1e-6, &report, &error), OK, "");
    if (report.units != 0 || report.p_value != 1.0) faults++;
    STATUS(taggant_detect_control(record, others, 1, &response, 1, 1e-6, &report, &error), OK, "");
    if (report.verdict == TAGGANT_VERDICT_DETECTED) faults++;
}

int main(int count, char **arguments) {
    if (count != 2) return 2;
    const char *folder = arguments[1];
    taggant_key *key = taggant_key_load(in(folder, "right.key"), &error);
    taggant_key *other = taggant_key_load(in(folder, "other.key"), &error);
    taggant_record *record = taggant_record_load(in(folder, "mark.json"), &error);
    if (key == NULL || other == NULL || record == NULL) {
        printf("%s\n", error.message);
        return 2;
    }
    const uint8_t digest[32] = {0};
    keys_and_records(folder, key, record, digest);
    choices(record, key, other);
    detections(record, key, other);

    /* Nobody has to want the message, and a long one is cut, with its zero. */
    if (taggant_key_load("/absent", NULL) != NULL || taggant_stream_push(NULL, 1, NULL) != TAGGANT_STATUS_POINTER) faults++;
    char path[2000];
    memset(path, 'a', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    memset(&error, 'x', sizeof error);
    if (taggant_key_load(path, &error) != NULL || strlen(error.message) != sizeof error.message - 1) faults++;

    /* NULL may be freed. */
    taggant_key_free(NULL);
    taggant_record_free(NULL);
    taggant_sampler_free(NULL);
    taggant_stream_free(NULL);
    taggant_key_free(key);
    taggant_key_free(other);
    taggant_record_free(record);
    if (sizeof(taggant_error) != 512 || taggant_abi_version() != TAGGANT_ABI_VERSION) faults++;
    printf("%d faults\n", faults);
    return faults == 0 ? 0 : 1;
}
