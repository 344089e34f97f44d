#include "gguf/ggml_type.h"

#include "gguf/ggml_long.h"
#include "gguf/ggml_plain.h"
#include "gguf/ggml_short.h"

const char ati_ggml_read_types[] =
    "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS "
    "or MXFP4";

/* By ggml's numbers. */
static const ati_ggml_type types[] = {
    [ATI_GGML_F32] = {"F32", 1, 4, ati_unpack_f32},
    [ATI_GGML_F16] = {"F16", 1, 2, ati_unpack_f16},
    [2] = {"Q4_0", 32, 18, ati_unpack_q4_0},
    [3] = {"Q4_1", 32, 20, ati_unpack_q4_1},
    [4] = {"Q4_2", 0, 0, NULL},
    [5] = {"Q4_3", 0, 0, NULL},
    [6] = {"Q5_0", 32, 22, ati_unpack_q5_0},
    [7] = {"Q5_1", 32, 24, ati_unpack_q5_1},
    [8] = {"Q8_0", 32, 34, ati_unpack_q8_0},
    [9] = {"Q8_1", 32, 40, NULL},
    [10] = {"Q2_K", 256, 84, ati_unpack_q2_k},
    [11] = {"Q3_K", 256, 110, ati_unpack_q3_k},
    [12] = {"Q4_K", 256, 144, ati_unpack_q4_k},
    [13] = {"Q5_K", 256, 176, ati_unpack_q5_k},
    [14] = {"Q6_K", 256, 210, ati_unpack_q6_k},
    [15] = {"Q8_K", 256, 292, NULL},
    [16] = {"IQ2_XXS", 256, 66, NULL},
    [17] = {"IQ2_XS", 256, 74, NULL},
    [18] = {"IQ3_XXS", 256, 98, NULL},
    [19] = {"IQ1_S", 256, 50, NULL},
    [20] = {"IQ4_NL", 32, 18, ati_unpack_iq4_nl},
    [21] = {"IQ3_S", 256, 110, NULL},
    [22] = {"IQ2_S", 256, 82, NULL},
    [23] = {"IQ4_XS", 256, 136, ati_unpack_iq4_xs},
    [24] = {"I8", 1, 1, NULL},
    [25] = {"I16", 1, 2, NULL},
    [26] = {"I32", 1, 4, NULL},
    [27] = {"I64", 1, 8, NULL},
    [28] = {"F64", 1, 8, NULL},
    [29] = {"IQ1_M", 256, 56, NULL},
    [ATI_GGML_BF16] = {"BF16", 1, 2, ati_unpack_bf16},
    [31] = {"Q4_0_4_4", 0, 0, NULL},
    [32] = {"Q4_0_4_8", 0, 0, NULL},
    [33] = {"Q4_0_8_8", 0, 0, NULL},
    [34] = {"TQ1_0", 256, 54, NULL},
    [35] = {"TQ2_0", 256, 66, NULL},
    [36] = {"IQ4_NL_4_4", 0, 0, NULL},
    [37] = {"IQ4_NL_4_8", 0, 0, NULL},
    [38] = {"IQ4_NL_8_8", 0, 0, NULL},
    [39] = {"MXFP4", 32, 17, ati_unpack_mxfp4},
    [40] = {"NVFP4", 64, 36, NULL},
    [41] = {"Q1_0", 128, 18, NULL},
};

const ati_ggml_type *ati_ggml_type_of(uint32_t number) {
    return number < sizeof types / sizeof *types ? &types[number] : NULL;
}
