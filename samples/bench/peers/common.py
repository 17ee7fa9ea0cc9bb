"""What every peer shares: the workloads (see workloads.md), the clock and the report line. Needs numpy only."""
import argparse, csv, gzip, json, os, pathlib, resource, sys, time
import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
OURS = HERE.parent.parent / "data"                      # iris and digits
DATA = pathlib.Path(os.environ.get("ND_DATA", OURS))    # the folder of mnist/ and text/
PEAK = 118.3e9          # f32 flop/s of one core of the machine of the first table; override with ND_PEAK
CHECKED = 10            # losses of this many steps are compared with reference.json


class W:
    """One workload: parameters [(shape, scale)], scale 0 = zeros, 1 = ones, else LCG in [-scale, scale)."""
    def __init__(self, params, batch=0, opt=None, lr=0.0, macs=(0, 0), tol=1e-4):
        self.params, self.batch, self.opt, self.lr, self.macs, self.tol = params, batch, opt, lr, macs, tol


def dense(i, o, bias=True):
    return [((i, o), i ** -0.5)] + ([((o,), 0)] if bias else [])


def conv(k, i, o, bias=True):       # HWIO
    return [((k, k, i, o), (k * k * i) ** -0.5)] + ([((o,), 0)] if bias else [])


def conv_bn(k, i, o):
    return conv(k, i, o, bias=False) + [((o,), 1), ((o,), 0)]


def gpt_layer(d):
    return ([((d,), 1), ((d,), 0)] + dense(d, 3 * d) + dense(d, d) +
            [((d,), 1), ((d,), 0)] + dense(d, 4 * d) + dense(4 * d, d))


LENET_MACS = (24 * 24 * 6 * 25 + 8 * 8 * 16 * 150 + 256 * 120 + 120 * 84 + 84 * 10, 24 * 24 * 6 * 25)
RESNET_MACS = (784 * 16 * 9 + 4 * 784 * 16 * 144 + 196 * 32 * 144 + 196 * 32 * 288 + 196 * 32 * 16 + 320, 784 * 16 * 9)
GRU_MACS = 64 * (64 * 384 + 128 * 384 + 128 * 65)
GPT_MACS = 64 * (4 * (128 * 384 + 128 * 128 + 2 * 128 * 512 + 2 * 64 * 128) + 128 * 65)

# macs: per sample (forward, forward of the layers whose input is data, so whose input gradient nobody needs)
WORK = {
    "scalar-sgd": W([((), 0)], 0, "sgd", 0.01),
    "iris": W(dense(4, 16) + dense(16, 3), 1, "sgd", 0.1, (112, 64)),
    "logreg-digits": W(dense(64, 10), 32, "sgd", 0.1, (640, 640)),
    "mlp-b32": W(dense(784, 128) + dense(128, 10), 32, "sgd", 0.1, (784 * 128 + 1280, 784 * 128)),
    "mlp3-b128": W(dense(784, 512) + dense(512, 256) + dense(256, 10), 128, "momentum", 0.01,
                   (784 * 512 + 512 * 256 + 2560, 784 * 512)),
    "lenet-b32": W(conv(5, 1, 6) + conv(5, 6, 16) + dense(256, 120) + dense(120, 84) + dense(84, 10),
                   32, "sgd", 0.05, LENET_MACS),
    "resnet-mini-b32": W(conv_bn(3, 1, 16) + 4 * conv_bn(3, 16, 16) + conv_bn(3, 16, 32) + conv_bn(3, 32, 32) +
                         conv_bn(1, 16, 32) + dense(32, 10), 32, "momentum", 0.01, RESNET_MACS, tol=1e-3),
    "gru-char": W([((65, 64), 0.1)] + [((64, 384), 0.125), ((384,), 0), ((128, 384), 128 ** -0.5), ((384,), 0)] +
                  dense(128, 65), 16, "adam", 1e-3, (GRU_MACS, 0), tol=1e-3),
    "gpt-nano": W([((65, 128), 0.05), ((64, 128), 0.05)] + 4 * gpt_layer(128) + [((128,), 1), ((128,), 0)],
                  12, "adamw", 1e-3, (GPT_MACS, 0), tol=1e-3),
    "chain-1M": W([((1 << 20,), 0.999)] * 3),
    "softmax-layernorm": W([((512, 1024), 1.5), ((1024,), 1), ((1024,), 0)]),
    "mlp-infer-b1": W(dense(784, 128) + dense(128, 10), 1, None, 0, (784 * 128 + 1280, 0)),
    "lenet-infer-b1": W(conv(5, 1, 6) + conv(5, 6, 16) + dense(256, 120) + dense(120, 84) + dense(84, 10),
                        1, None, 0, (LENET_MACS[0], 0)),
}
INFER = ("mlp-infer-b1", "lenet-infer-b1")
VALUE_AND_GRAD = ("chain-1M", "softmax-layernorm")      # no update: value and gradients are the result


def lcg(n, state):
    """n values in [-1, 1), exact in f32: s = 1664525 s + 1013904223 mod 2^32, u = (s >> 8) 2^-23 - 1."""
    m = (1 << 32) - 1
    out = np.empty(n, np.uint64)
    a, c, have = 1664525, 1013904223, 1
    out[0] = (a * state + c) & m
    while have < n:                                     # the next `have` states from the first `have`: s -> a s + c
        k = min(have, n - have)
        out[have:have + k] = (out[:k] * np.uint64(a) + np.uint64(c)) & np.uint64(m)
        a, c, have = (a * a) & m, (a * c + c) & m, have * 2
    return (out >> np.uint64(8)).astype(np.float32) * np.float32(2.0 ** -23) - np.float32(1), int(out[-1])


def init(name, state=1):
    """The parameters in order, one stream through all that are neither zeros nor ones."""
    out = []
    for shape, scale in WORK[name].params:
        n = int(np.prod(shape, dtype=int))
        if scale in (0, 1):
            out.append(np.full(shape, scale, np.float32))
        else:
            u, state = lcg(n, state)
            out.append((u * np.float32(scale)).reshape(shape))
    return out


def _idx(name):
    raw = gzip.open(DATA / "mnist" / name).read()
    nd = raw[3]
    shape = [int.from_bytes(raw[4 + 4 * i:8 + 4 * i], "big") for i in range(nd)]
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * nd).reshape(shape)


def batches(name):
    """The rotated batches [(x f32, y i32)]; step i uses batch i mod len. For language x is i32 [B, 64], y the next ones."""
    b = WORK[name].batch
    if name == "scalar-sgd":
        return []
    if name == "iris":
        rows = np.array([[float(v) for v in r] for r in list(csv.reader(open(OURS / "iris.csv")))[1:]])
        order = [(7 * i) % 150 for i in range(150)]
        return [(rows[i:i + 1, :4].astype(np.float32) / np.float32(8), rows[i:i + 1, 4].astype(np.int32)) for i in order]
    if name == "logreg-digits":
        rows = np.array(list(csv.reader(gzip.open(OURS / "digits.csv.gz", "rt"))), np.float32)
        return [(rows[i * b:i * b + b, :64] / np.float32(16), rows[i * b:i * b + b, 64].astype(np.int32)) for i in range(8)]
    if name in ("gru-char", "gpt-nano"):
        text = (DATA / "text/tinyshakespeare.txt").read_bytes()
        code = {c: i for i, c in enumerate(sorted(set(text)))}
        t = np.array([code[c] for c in text[:8 * b * 64 + 1]], np.int32)
        return [(t[i * b * 64:][:b * 64].reshape(b, 64), t[i * b * 64 + 1:][:b * 64].reshape(b, 64)) for i in range(8)]
    if name == "chain-1M":              # two sets of inputs a, b, c; the first is init(), the second goes on after it
        return [(init(name, s), None) for s in (1, 2)]
    if name == "softmax-layernorm":     # x, gain, bias, and the fixed weights t of the loss sum(softmax * t)
        return [(init(name, s), lcg(512 * 1024, s + 10)[0].reshape(512, 1024)) for s in (1, 2)]
    x = _idx("train-images-idx3-ubyte.gz")[:8 * b].astype(np.float32) / np.float32(255)
    y = _idx("train-labels-idx1-ubyte.gz")[:8 * b].astype(np.int32)
    x = x.reshape(-1, 28, 28, 1) if name.startswith(("lenet", "resnet")) else x.reshape(-1, 784)
    return [(x[i * b:i * b + b], y[i * b:i * b + b]) for i in range(8)]


def flops(name):
    """2 * MACs of forward and backward without the gradient of the input data; inference: forward."""
    w = WORK[name]
    fwd, first = w.macs
    return 2 * w.batch * (fwd if w.opt is None else 3 * fwd - first)


def reference(name):
    return json.loads((HERE / "reference.json").read_text())[name]


def args():
    p = argparse.ArgumentParser()
    p.add_argument("workload", choices=WORK)
    p.add_argument("mode")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--seconds", type=float, default=2.0)
    return p.parse_args()


def check(name, got):
    """Largest relative error of the losses (or of the checked numbers) against the float64 reference; exits if too large."""
    want = np.array(reference(name))
    got = np.array(got, np.float64)[:len(want)]
    err = float(np.max(np.abs(got - want) / np.maximum(np.abs(want), 1e-2)))
    if not err <= WORK[name].tol:
        sys.exit(f"{name}: wrong result, relative error {err:.2e}\n got {got.tolist()}\nwant {want.tolist()}")
    return err


def prefer_this_process(on):
    """Real-time priority for all its threads, where ND_REALTIME asks for it: measuring needs it on a busy machine."""
    if "ND_REALTIME" not in os.environ:
        return
    policy, priority = (os.SCHED_FIFO, 1) if on else (os.SCHED_OTHER, 0)
    for thread in os.listdir("/proc/self/task"):
        os.sched_setscheduler(int(thread), policy, os.sched_param(priority))


def measure(run, wait, seconds, steps_per_call=1):
    """us per step: samples of >= 200 us or one call, each ending with wait(); at least 20 samples (5 of the 100-step loop)."""
    def sample(k):
        t = time.perf_counter()
        for _ in range(k):
            r = run()
        wait(r)
        return time.perf_counter() - t
    prefer_this_process(True)
    one = min(sample(1) for _ in range(4 if steps_per_call == 1 else 1))
    k = max(1, int(200e-6 / one))
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    times, end, least = [], time.perf_counter() + seconds, 20 if steps_per_call == 1 else 5
    while len(times) < least or (time.perf_counter() < end and len(times) < 5000):
        times.append(sample(k) / k / steps_per_call * 1e6)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
    prefer_this_process(False)
    measure.faults = faults / (len(times) * k * steps_per_call)     # page faults per step: memory given back and taken again
    return times


def report(a, framework, version, times, first_ms, import_ms, loss_err, **extra):
    w, med, p10 = WORK[a.workload], float(np.median(times)), float(np.percentile(times, 10))
    fl = flops(a.workload)
    line = {"workload": a.workload, "framework": framework, "version": version, "mode": a.mode, "threads": a.threads,
            "batch": w.batch, "step_us_median": round(med, 3), "step_us_p10": round(p10, 3),
            "first_call_ms": round(first_ms, 1), "loss_check": float(f"{loss_err:.1e}"),
            "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            "import_ms": round(import_ms), "samples": len(times), "faults_per_step": round(measure.faults, 1),
            "malloc": "kept" if "MALLOC_TRIM_THRESHOLD_" in os.environ else "default"}
    if fl > 1e5:
        bound = fl / float(os.environ.get("ND_PEAK", PEAK)) / a.threads * 1e6
        line |= {"bound_us": round(bound, 1), "peak_pct": round(100 * bound / med, 1)}
    print(json.dumps(line | extra), flush=True)
