/* Whether a batch fits the model and itself. */
#ifndef ATI_CHECK_H
#define ATI_CHECK_H

#include "model/model.h"

ati_status ati_batch_check(const ati_config *config, const ati_batch *batch, ati_error *error);

#endif
