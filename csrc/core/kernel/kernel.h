/* Which products a model's numbers go through: chosen once, when it is opened. */
#ifndef ATI_KERNEL_H
#define ATI_KERNEL_H

#include "ati.h"
#include "kernel/gemm.h"

typedef struct {
    const char *name; /* of the instructions: products with weights, then attention */
    ati_precision precision;
    const ati_gemm *linear;      /* products with a layer's weights, but for values */
    const ati_gemm *unembedding; /* with the output projection */
    const ati_gemm *attention;   /* queries with keys, weights with values, and what makes values */
    bool (*is_supported)(void);  /* by this CPU */
} ati_kernel;

/* The kernel of that name, or the best where name is NULL. ATI_ARG, with the names
 * there are, when this machine has none such. */
ati_status ati_kernel_find(ati_precision precision, const char *name, const ati_kernel **kernel,
                           ati_error *error);

/* Its name in full: OpenBLAS, which ati_kernel_find has opened, names itself. */
const char *ati_kernel_name(const ati_kernel *kernel);

#endif
