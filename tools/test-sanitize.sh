#!/bin/sh
# Runs the tests on a build with AddressSanitizer and UndefinedBehaviorSanitizer.
#
#     tools/test-sanitize.sh                        the whole suite
#     tools/test-sanitize.sh tests/core/test_bits.py     any arguments go to pytest
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
for path in base corpus demo integrations mix output report select \
    cli/test_cli_completion.py cli/test_cli_select.py cli/test_cli_terminal.py \
    heads/test_stability.py heads/test_views_attention.py heads/test_views_heads.py \
    house/test_benchmarks.py house/test_docs.py house/test_error_table.py house/test_everywhere.py \
    house/test_examples.py house/test_slurm.py model/test_views_model.py run/test_input_plan.py \
    run/test_resume.py run/test_run_lock.py run/test_run_mistakes.py scoring/test_prefetch.py \
    scoring/test_scorer.py scoring/test_scorer_datasets.py tokenizer/test_tokenizer_kinds.py \
    verify/test_reference.py views/test_views_pieces.py; do
    [ -e "tests/$path" ] || {
        echo "tests/$path: no such file or folder, though it is left out here" >&2
        exit 2
    }
    ignored="$ignored --ignore=tests/$path"
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
