/* Drives a libFuzzer entry without libFuzzer: files named as arguments, or, with
 * a number, that many mutations of the seeds below. The same number gives the
 * same inputs every time. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte chooses the reader (fuzz_safetensors.c). */
static const char *const seeds[] = {
    " {\"a\": [1, 2.5e1, true, null], \"b\": {\"c\": \"\\u00e9\\ud83d\\ude00\"}}",
    "@{\"model_type\":\"llama\",\"num_hidden_layers\":2,\"num_attention_heads\":4,"
    "\"hidden_size\":24,\"intermediate_size\":10,\"vocab_size\":11,"
    "\"max_position_embeddings\":64,\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":4.0}}",
    "@{\"model_type\":\"llama\",\"num_hidden_layers\":2,\"num_attention_heads\":4,"
    "\"hidden_size\":24,\"intermediate_size\":10,\"vocab_size\":11,\"max_position_embeddings\":64,"
    "\"rope_parameters\":{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,"
    "\"high_freq_factor\":4.0,\"original_max_position_embeddings\":32}}",
    "@{\"model_type\":\"gemma3_text\",\"num_hidden_layers\":3,\"num_attention_heads\":4,"
    "\"num_key_value_heads\":2,\"hidden_size\":24,\"intermediate_size\":10,\"vocab_size\":11,"
    "\"max_position_embeddings\":64,\"sliding_window\":8,\"layer_types\":[\"sliding_attention\","
    "\"full_attention\",\"sliding_attention\"],\"query_pre_attn_scalar\":16,\"rope_parameters\":{"
    "\"full_attention\":{\"rope_type\":\"linear\",\"factor\":8.0,\"rope_theta\":1e6},"
    "\"sliding_attention\":{\"rope_type\":\"default\"}},\"final_logit_softcapping\":30.0}",
    "@{\"model_type\":\"phi3\",\"num_hidden_layers\":2,\"num_attention_heads\":4,"
    "\"hidden_size\":32,\"intermediate_size\":10,\"vocab_size\":11,\"max_position_embeddings\":64,"
    "\"partial_rotary_factor\":0.75,\"original_max_position_embeddings\":16,\"sliding_window\":9,"
    "\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1,1.5,2],\"long_factor\":[2,3,4]}}",
    "@{\"model_type\":\"qwen3_moe\",\"num_hidden_layers\":3,\"num_attention_heads\":4,"
    "\"num_key_value_heads\":2,\"hidden_size\":24,\"intermediate_size\":10,\"vocab_size\":11,"
    "\"max_position_embeddings\":64,\"num_experts\":4,\"num_experts_per_tok\":2,"
    "\"moe_intermediate_size\":6,\"mlp_only_layers\":[1],\"decoder_sparse_step\":2}",
    "@{\"model_type\":\"llava\",\"text_config\":{\"model_type\":\"smollm3\",\"num_hidden_layers\":"
    "3,"
    "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"hidden_size\":24,"
    "\"intermediate_size\":10,\"vocab_size\":11,\"max_position_embeddings\":64,"
    "\"no_rope_layers\":[1,0,1],\"use_sliding_window\":true,\"sliding_window\":7}}",
    "\x8c{\"__metadata__\":{\"format\":\"pt\"},\"b\":{\"dtype\":\"F32\",\"shape\":[2,1],"
    "\"data_offsets\":[4,12]},\"a\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[0,4]}}  ",
};

static const char *const words[] = {
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\u0000",
    "\\ud800",
    "0",
    "-1",
    "18446744073709551615",
    "4294967296",
    "9223372036854775807",
    "1e308",
    "null",
    "true",
    "\"a\"",
    "\"data_offsets\"",
    "\"shape\"",
    "\"dtype\"",
    "\"F16\"",
    "\"dynamic\"",
    "\"linear\"",
    "\"factor\"",
    "\"gpt_oss\"",
    "\"cohere2\"",
    "\"olmo3\"",
    "\"gpt2\"",
    "\"layer_types\"",
    "\"sliding_window\"",
    "\"mlp_only_layers\"",
    "\xff",
};

/* xorshift64*: the same everywhere. */
static uint64_t next(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1d;
}

static size_t below(uint64_t *state, size_t n) {
    return (size_t)(next(state) % n);
}

/* Replaces data[at, at + cut) by word. */
static size_t splice(uint8_t *data, size_t size, size_t at, size_t cut, const char *word,
                     size_t length) {
    cut = cut < size - at ? cut : size - at;
    if (size - cut + length > MOST) {
        return size;
    }
    memmove(data + at + length, data + at + cut, size - at - cut);
    memcpy(data + at, word, length);
    return size - cut + length;
}

static size_t mutate(uint64_t *state, uint8_t *data, size_t size) {
    size_t at = below(state, size);
    const char *word = words[below(state, sizeof words / sizeof *words)];
    switch (below(state, 5)) {
    case 0:
        data[at] = (uint8_t)next(state);
        return size;
    case 1:
        return splice(data, size, at, below(state, 16) + 1, "", 0);
    case 2:
        return splice(data, size, at, 0, word, strlen(word));
    case 3:
        return splice(data, size, at, strlen(word), word, strlen(word));
    default: {
        char copy[64];
        size_t length = below(state, sizeof copy) + 1;
        length = length < size - at ? length : size - at;
        memcpy(copy, data + at, length);
        return splice(data, size, below(state, size), 0, copy, length);
    }
    }
}

/* A copy of its own, so that a read past the end is seen. */
static void run_one(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (copy == NULL) {
        abort();
    }
    memcpy(copy, data, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void run_mutations(uint64_t state, long runs) {
    for (long i = 0; i < runs; i++) {
        uint8_t data[MOST];
        const char *seed = seeds[below(&state, sizeof seeds / sizeof *seeds)];
        size_t size = strlen(seed);
        memcpy(data, seed, size);
        for (size_t n = below(&state, 6); n > 0 && size > 0; n--) {
            size = mutate(&state, data, size);
        }
        run_one(data, size);
    }
}

static int run_file(const char *path) {
    static uint8_t data[1 << 20];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return 2;
    }
    run_one(data, fread(data, 1, sizeof data, file));
    fclose(file);
    return 0;
}

int main(int argc, char **argv) {
    int result = 0;
    char *end;
    long runs = argc == 2 ? strtol(argv[1], &end, 10) : 0;
    if (runs > 0 && *end == '\0') {
        run_mutations(20250507, runs);
        printf("%ld mutated inputs\n", runs);
        return 0;
    }
    for (int i = 1; i < argc && result == 0; i++) {
        result = run_file(argv[i]);
    }
    return result;
}
