/*
 * No memory that is given back holds a key. Linked with --wrap for free and realloc, so that it sees every block, the library's too.
 *
 *     wipe KEY RECORD
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "taggant.h"

static unsigned char secret[32];
static char hex[65];
static int watching, blocks, found;

void __real_free(void *block);
void *__real_realloc(void *block, size_t size);
void __wrap_free(void *block);
void *__wrap_realloc(void *block, size_t size);

static void look(const void *block) {
    if (!watching || block == NULL) return;
    const size_t size = malloc_usable_size((void *)(size_t)block);
    blocks++;
    /* A half is a secret too. */
    if (memmem(block, size, secret, 16) != NULL || memmem(block, size, hex, 32) != NULL) found++;
}

void __wrap_free(void *block) {
    look(block);
    __real_free(block);
}

void *__wrap_realloc(void *block, size_t size) {
    look(block);
    return __real_realloc(block, size);
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    /* The last `"key":"` of a key file is the key in hex. */
    static char text[4096];
    FILE *file = fopen(arguments[1], "r");
    if (file == NULL) return 2;
    const size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    const char *field = strstr(text, "\"key\":\"");
    if (field == NULL) return 2;
    memcpy(hex, field + 7, 64);
    for (int byte = 0; byte < 32; byte++) {
        unsigned value;
        if (sscanf(hex + 2 * byte, "%2x", &value) != 1) return 2;
        secret[byte] = (unsigned char)value;
    }

    /* That the watch works: this block holds a key. */
    watching = 1;
    unsigned char *volatile block = malloc(100);
    memcpy(block + 10, secret, 32);
    __wrap_free(block);
    if (found != 1) return 2;
    found = 0;

    taggant_error error;
    for (int way = 0; way < 2; way++) {
        taggant_key *key = way == 0 ? taggant_key_load(arguments[1], &error) : taggant_key_parse((const uint8_t *)text, length, &error);
        taggant_record *record = taggant_record_load(arguments[2], &error);
        if (key == NULL || record == NULL) return 2;
        const taggant_key *keys[] = {key};
        taggant_sampler *sampler = taggant_sampler_new(record, keys, 1, &error);
        taggant_stream *stream = taggant_stream_new(sampler, &error);
        const uint32_t ids[] = {4, 5, 6};
        const float logits[] = {1, 2, 3};
        uint32_t tokens[50];
        for (int step = 0; step < 50; step++) {
            if (taggant_select_listed(stream, ids, logits, 3, NULL, 1, &tokens[step], &error) != TAGGANT_STATUS_OK) return 2;
        }
        const taggant_response response = {tokens, 50, NULL, 0};
        taggant_report report;
        if (taggant_detect(record, keys, 1, &response, 1, 1e-6, &report, &error) != TAGGANT_STATUS_OK) return 2;
        taggant_sampler_free(sampler);
        taggant_key_free(key);
        taggant_stream_free(stream);
        taggant_record_free(record);
    }
    /* A file that is refused was read too. */
    text[length - 2] = 'x';
    if (taggant_key_parse((const uint8_t *)text, length, &error) != NULL || strstr(error.message, hex) != NULL) return 2;
    watching = 0;
    printf("%d blocks given back, %d with a key\n", blocks, found);
    return blocks > 50 && found == 0 ? 0 : 1;
}
