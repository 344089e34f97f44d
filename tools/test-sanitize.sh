#!/bin/sh
# Runs the tests on a build with AddressSanitizer and UndefinedBehaviorSanitizer.
#
#     tools/test-sanitize.sh                        the whole suite
#     tools/test-sanitize.sh tests/test_bits.py     any arguments go to pytest
#
# The build is a copy of the tree in build/sanitize, so the ordinary one stays as it is.
# PYTHON names the interpreter (python3), which needs what the tests need.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
copy=$root/build/sanitize
compiler=${CC:-gcc}

rm -rf "$copy"
mkdir -p "$copy"
tar -C "$root" --exclude=__pycache__ --exclude='*.so*' --exclude='*.o' --exclude='*.a' -cf - \
    setup.py pyproject.toml README.md LICENSE NOTICE \
    attninfluence csrc tests tools benchmarks examples docs |
    tar -C "$copy" -xf -
cd "$copy"
ATTNINFLUENCE_SANITIZE=1
export ATTNINFLUENCE_SANITIZE
"$python" setup.py --quiet build_ext --inplace

# libstdc++ comes too, so that the C++ exceptions of other extensions are found.
LD_PRELOAD="$("$compiler" -print-file-name=libasan.so) $("$compiler" -print-file-name=libstdc++.so)"
# Their dlopen takes the place of the extension's, whose run path then does not count.
LD_LIBRARY_PATH=$copy/attninfluence
# The interpreter itself leaks by design; leaks of ours are tested by counting. Reports go to
# files, since pytest would keep what a dying process writes.
ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:log_path=$copy/report
UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:log_path=$copy/report
PYTHONMALLOC=malloc
export LD_PRELOAD LD_LIBRARY_PATH ASAN_OPTIONS UBSAN_OPTIONS PYTHONMALLOC
status=0
# These run no C of ours, or none that the others do not run: they are about transformers and its
# tokenizers, about files and tables, about engines and examples.
ignored=
for name in arrow benchmarks cli_completion cli_select cli_terminal corpus corpus_inputs \
    corpus_kept corpus_parts corpus_streaming datatrove datatrove_checkpoint datatrove_selection \
    demo differences docs engines error_table everywhere examples input_plan mix output prefetch \
    quantiles reference replacing report report_documents report_numbers report_scale resume \
    run_lock run_mistakes score_runs scored_documents scorer scorer_datasets select select_scale \
    slurm stability tokenizer_kinds views_attention views_heads views_model views_pieces; do
    [ -e "tests/test_$name.py" ] || {
        echo "tests/test_$name.py: no such file, though it is left out here" >&2
        exit 2
    }
    ignored="$ignored --ignore=tests/test_$name.py"
done
# shellcheck disable=SC2086 # a list of words
"$python" -m pytest -p no:cacheprovider $ignored "$@" || status=$?

unset LD_PRELOAD LD_LIBRARY_PATH
for report in "$copy"/report.*; do
    if [ -e "$report" ] && grep -q 'ERROR: \|runtime error' "$report"; then
        cat "$report"
        status=1
    fi
done
exit $status
