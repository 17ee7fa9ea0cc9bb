#!/bin/sh
# usage: run.sh VENVS [jax|tf|torch|tinygrad|two ...]     one JSON object a line; errors go to stderr and the run goes on
# ND_DATA: the folder that has mnist/ (IDX files, gzip) and text/tinyshakespeare.txt
# ND_CORE (0): the core of the one-thread runs; ND_SECONDS (2): measuring time of each; ND_ONLY, ND_MODES: lists to choose from
# ND_REALTIME=1: real-time priority while measuring, not while importing and compiling; for root on a busy machine
# Run nothing else meanwhile, on any core: on a virtual machine the other core's work shows here.
here=$(cd "$(dirname "$0")" && pwd)
venvs=$1; shift
core=${ND_CORE:-0}
secs=${ND_SECONDS:-2}
all="scalar-sgd iris logreg-digits mlp-b32 mlp3-b128 lenet-b32 resnet-mini-b32 gru-char gpt-nano chain-1M softmax-layernorm \
mlp-infer-b1 lenet-infer-b1"
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 TF_CPP_MIN_LOG_LEVEL=3 NUM_CPU_THREADS=1
# ND_MALLOC=1: large blocks stay in the heap instead of going back to the kernel; else every step pays for page faults anew
[ -n "$ND_MALLOC" ] && export MALLOC_MMAP_THRESHOLD_=4000000000 MALLOC_TRIM_THRESHOLD_=8000000000 MALLOC_TOP_PAD_=67108864

one() {     # one PEER MODE WORKLOADS...
    peer=$1; mode=$2; shift 2
    for w in "$@"; do
        case " ${ND_ONLY:-$all} " in *" $w "*) ;; *) continue ;; esac
        case " ${ND_MODES:-$mode} " in *" $mode "*) ;; *) continue ;; esac
        timeout 300 taskset -c "$core" "$venvs/$peer/bin/python" "$here/peer_$peer.py" "$w" "$mode" --seconds "$secs" $extra |
            grep '^{' || echo "failed: $peer $mode $w" >&2
    done
}

[ $# = 0 ] && set -- jax tf torch tinygrad two
for what in "$@"; do
    extra=
    case $what in
    jax)
        one jax jit $all
        one jax loop scalar-sgd iris logreg-digits mlp-b32 mlp3-b128 gru-char
        one jax jit-nchw lenet-b32 resnet-mini-b32 lenet-infer-b1
        cache=$(mktemp -d)      # the second of two processes finds what the first has compiled
        export JAX_COMPILATION_CACHE_DIR=$cache JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 \
               JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES=-1
        for pass in fill cached; do
            secs=0 one jax jit-$pass $all
        done
        unset JAX_COMPILATION_CACHE_DIR
        rm -r "$cache" ;;
    tf) one tf function $all; one tf xla $all ;;
    torch)
        one torch eager $all
        one torch eager-nhwc lenet-b32 resnet-mini-b32 lenet-infer-b1
        one torch step scalar-sgd iris logreg-digits mlp-b32 mlp3-b128 lenet-b32 resnet-mini-b32 gpt-nano chain-1M softmax-layernorm
        one torch step-nhwc lenet-b32 resnet-mini-b32
        one torch compile $all
        one torch step-autotune mlp-b32 mlp3-b128 gpt-nano
        one torch frozen mlp-infer-b1 lenet-infer-b1
        one torch step gru-char ;;      # compiles for minutes
    tinygrad) one tinygrad clang $all; one tinygrad llvm $all ;;
    two)
        core=0,1 extra="--threads 2"; export OMP_NUM_THREADS=2 MKL_NUM_THREADS=2 NUM_CPU_THREADS=2
        set -- mlp-b32 mlp3-b128 lenet-b32 gpt-nano
        one jax jit "$@"; one tf function "$@"; one tf xla "$@"; one torch eager "$@"; one torch step "$@" ;;
    esac
done
