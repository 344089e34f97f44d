/* Single fields of config.json, each either what it has to be or refused with a
 * sentence. Shared by config.c and config_rope.c only. */
#ifndef ATI_CONFIG_READ_H
#define ATI_CONFIG_READ_H

#include "config.h"
#include "json.h"

typedef struct {
    const ati_json *json;
    const char *path;
    ati_error *error;
} ati_config_reader;

/* A string without a NUL inside, living as long as the JSON; absent or null
 * gives `otherwise`, and is refused when that is NULL. */
ati_status ati_config_text(const ati_config_reader *r, ati_json_value object, const char *key,
                           const char *otherwise, const char **out);

/* An integer in 1..most; absent or null gives `otherwise`, and is refused when
 * that is 0. */
ati_status ati_config_size(const ati_config_reader *r, ati_json_value object, const char *key,
                           size_t most, size_t otherwise, size_t *out);

/* A number in least..most; absent gives `otherwise`, and is refused when that is
 * NaN. */
ati_status ati_config_number(const ati_config_reader *r, ati_json_value object, const char *key,
                             double least, double most, double otherwise, double *out);

/* true or false; absent gives `otherwise`. */
ati_status ati_config_flag(const ati_config_reader *r, ati_json_value object, const char *key,
                           bool otherwise, bool *out);

/* config->rope from the root's rope_parameters, or rope_theta and rope_scaling. */
ati_status ati_config_rope(const ati_config_reader *r, ati_config *config);

#endif
