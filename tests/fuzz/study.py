"""TOML files given as studies: read, or refused in one line that names the file."""

from sgdbench.study.builtin import describe_builtin
from sgdbench.study.load import load_study, study_of_table, to_table, to_toml
from tests.fuzz.harness import Target, mutations, refusal

STUDY = """\
name = "fuzzed"
[data]
path = "table.csv"
x = ["Engine Power (PS)"]
y = "mpg"
standardize = true
validation = 0.2
[model]
expression = "a*power + b"
inputs = ["power"]
[grid]
lr = "log:0.03:2:9"
batch_size = [1, 16, "full"]
optimizer = ["sgd", "averaged(adam(beta1=0.8, amsgrad=true))"]
schedule = ["halve(10)", "multistep([3, 5], 0.1)"]
seed = [0, 1]
shuffle = true
init = { zero = [0.0, 0.0], near = { a = -0.8, b = 1 }, some = "normal:1:3" }
[run]
epochs = 50
target = 1e-3
record = "log:5"
loss = "huber(1.0)"
patience = 3
"""
STUDY += """\
[tune]
lr = "log:0.001:1"
batch_size = "logint:1:64"
optimizer = ["sgd", "clipped(adam(beta1=log1m:0.5:0.99), lin:0.1:10)"]
schedule = ["constant", "halve(int:5:50)"]
trials = 100
sampler = "cmaes"
"""
SHORT = 'name = "q"\nmodel.expression = "linear"\ndata.builtin = "quadratic"\ngrid.lr = [1e-3, 0.5]\n'
PIECES = ["[grid]\n", "\nseed = ", "lr = ", '"log:1e-300:1e300:99999"', '"lin:0:1:2"', "1e400", "nan", "-inf", "-1"]
PIECES += ["true", "[]", "{}", "[[1]]", "1979-05-27T07:32:00Z", '""', "'''", "9" * 25, "0x7fffffffffffffff"]
PIECES += ['"polynomial(28)"', "\n[run]\n", "epochs = ", '"uniform:-5:5:99999999"', '"adam(0.9, 0.9"']
PIECES += ['"lookahead(lookahead(sgd))"', "a." * 40, "[" * 99, "\u00e9", "\\u0000", "#", "[tune]\n", "log1m:0.5:1"]
PIECES += ["lin:-1e308:1e308", "logint:0:9", '"momentum(int:0:1)"']


def make_target(place):
    """Return the target; its studies are read from one file in the folder."""
    path = place / "study.toml"

    def examine(data):
        path.write_bytes(data)
        study = refusal(lambda: load_study(path), ValueError)
        if study is None:
            return "refused"
        assert study_of_table(to_table(study)) == study
        if study.tune.space:
            refusal(lambda: study.make_space(100), ValueError)
        path.write_text(to_toml(study), encoding="utf-8")
        assert load_study(path) == study
        return "accepted"

    built_in = [to_toml(load_study(name)).encode() for name in describe_builtin("studies")]
    corpus = [STUDY.encode(), SHORT.encode(), *built_in]
    return Target(mutations(corpus, [piece.encode() for piece in PIECES]), examine, corpus)
