/* What OpenBLAS is before it is open, which it is for all tests after this one. */
#include <string.h>

#include "kernel/blas.h"
#include "kernel/kernel.h"
#include "testing.h"

void test_blas(void) {
    const ati_kernel *kernel = NULL;
    ati_error error;
    CHECK(strcmp(ati_blas_name(), "") == 0);
    /* Not the kernel whose name in full that would be. */
    ati_status status = ati_kernel_find(ATI_FP32, "", &kernel, &error);
    CHECK_REFUSED(status, ATI_ARG, &error, "this machine has no kernel ''");
    CHECK(kernel == NULL && strcmp(ati_blas_name(), "") == 0);
}
