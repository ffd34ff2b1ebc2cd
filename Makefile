# Every verb makes and reuses .venv by itself. PYTHON chooses the interpreter it is made with.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The tests start a hundred processes: without bytecode each would compile our modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo demo-app test browser attacks export compat lint format peers bombs bench nets quality seed tuned frontier stale bits pairs memory torture abuse gpu processes ray trackers notebooks package site zoo detectors checks parity full clean

# The peers import torchvision, whose wheel would bring CUDA: nothing of theirs is resolved, and the scripts stub it.
PEERS := .venv-peers

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(STAMP)  ## train a VAE on MNIST for 10 epochs, sample it, and say where the pictures are
	$(BIN)/python examples/demo.py

demo-app: $(STAMP)  ## train a VAE on MNIST, then open the app on it
	test -e runs/demo-vae/run.json || $(BIN)/counterfeit train vae --data mnist --out runs/demo-vae
	$(BIN)/counterfeit app runs --open

test: $(STAMP)  ## the whole test suite, under 8 minutes on 2 cores
	$(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

BROWSER := $(VENV)/.browser
$(BROWSER): $(STAMP)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[app,browser,export]'
	@touch $@

# axe-core looks for what keeps people out of a page. It comes by npm, and is only in build/.
AXE := build/axe/package/axe.min.js
$(AXE):
	mkdir -p build/axe
	npm pack --silent --pack-destination build/axe axe-core@4.14.1
	tar -xzf build/axe/axe-core-4.14.1.tgz -C build/axe package/axe.min.js package/LICENSE

browser: $(BROWSER) $(AXE)  ## a report, the app, a human test and an exported page in an installed Chromium: phone and desk, light and dark; screenshots in build/browser
	$(BIN)/pytest tests/test_browser.py tests/test_app_browser.py tests/test_explore_browser.py tests/test_judge_browser.py tests/test_export_browser.py tests/test_axe.py -m browser

attacks: $(BROWSER)  ## what attacks on the app get, and what they cost; every row of docs/app.md holds or it fails (five minutes)
	$(BIN)/python benchmarks/attacks.py
	$(BIN)/python benchmarks/publish.py

EXPORT := $(VENV)/.export
$(EXPORT): $(STAMP)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[export]'
	@touch $@

export: $(EXPORT)  ## every model with latents as ONNX, some as .pt2, read again and held against our samples
	$(BIN)/pytest tests/test_exported.py -m export

RAY := $(VENV)/.ray
$(RAY): $(STAMP)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[ray,s3,emulator]'
	@touch $@

ray: $(RAY)  ## a grid on a Ray cluster of three local nodes, one of which is killed, and in an S3 server, killed and continued
	$(BIN)/pytest tests/test_cluster.py -m ray

TRACKERS := $(VENV)/.trackers
$(TRACKERS): $(STAMP)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[tensorboard,wandb,mlflow]'
	@touch $@

trackers: $(TRACKERS)  ## runs in TensorBoard, Weights & Biases and MLflow, read back by their own libraries, one of them killed
	$(BIN)/pytest tests/test_trackers.py -m trackers

NOTEBOOKS := $(VENV)/.notebooks
$(NOTEBOOKS): $(STAMP)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[notebook]'
	@touch $@

notebooks: $(NOTEBOOKS)  ## execute the notebooks of examples, and stop a training in a cell; what they show is in build/notebooks
	PATH=$(abspath $(BIN)):$$PATH $(BIN)/pytest tests/test_notebooks.py -m notebooks

PACKAGE := $(VENV)/.package
$(PACKAGE): $(STAMP)
	$(BIN)/pip install --quiet --constraint constraints.txt build
	@touch $@

package: $(PACKAGE)  ## wheel and sdist into dist, and the zoo's: their contents, and the wheel alone in an empty environment
	rm -rf build/lib dist && $(BIN)/python -m build && $(BIN)/python -m build --outdir dist zoo
	$(BIN)/pytest tests/test_package.py -m package

SITE := $(VENV)/.site
$(SITE): $(STAMP)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[site]'
	@touch $@

site: $(SITE)  ## the documentation as a site in build/site; a link that leads nowhere is an error
	$(BIN)/mkdocs build --strict --clean --config-file site/mkdocs.yml

# The oldest versions that pyproject.toml allows, in an environment of their own, and the tests of what each is used for.
# The oldest PyTorch comes as a CUDA build of gigabytes on Linux, so that it is asked for: make compat TORCH=oldest. On
# another Python, make compat PYTHON=python3.12; where that has no wheels so old, DEPENDENCIES=newest.
COMPAT = .venv-compat/$(notdir $(PYTHON))-$(DEPENDENCIES)
DEPENDENCIES := oldest
TORCH := $(shell grep '^torch==' constraints.txt)
CORE := cli bad_input data_arrays data_npz data_folder data_picture data_bombs data_bad_files data_identity \
	training engines sampling shared detectors_registry detectors_weights score statistics receipts compare report

compat: $(STAMP)  ## the core of the tests with exactly the oldest dependencies allowed
	$(PYTHON) -m venv $(COMPAT)
	$(BIN)/python benchmarks/lower_bounds.py --extras onnx \
		$(if $(filter oldest,$(TORCH)),,--without torch) > $(COMPAT)/oldest.txt
	$(COMPAT)/bin/pip install --quiet pytest pytest-xdist scipy $(filter-out oldest,$(TORCH)) \
		$(if $(filter oldest,$(DEPENDENCIES)),--requirement $(COMPAT)/oldest.txt,'.[onnx]')
	$(COMPAT)/bin/pip install --quiet --no-deps --editable .
	$(COMPAT)/bin/pip list
	$(COMPAT)/bin/pytest --numprocesses auto --maxprocesses 4 --dist loadfile -W ignore::DeprecationWarning \
		$(CORE:%=tests/test_%.py)

lint: $(STAMP)  ## formatting, lint rules, types, and which room imports which
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache

format: $(STAMP)  ## mend what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP) $(PEERS)/.installed  ## training speed against the course loop and Pythae; commands; scoring against torch-fidelity
	$(BIN)/python benchmarks/speed.py --peers $(PEERS)
	$(BIN)/python benchmarks/busy.py --peers $(PEERS)
	$(BIN)/python benchmarks/layers.py
	$(BIN)/python benchmarks/profiles.py
	$(BIN)/python benchmarks/compiled.py
	$(BIN)/python benchmarks/commands.py
	$(BIN)/python benchmarks/score_speed.py --peers $(PEERS)
	$(BIN)/python benchmarks/publish.py

nets: $(STAMP) $(PEERS)/.flows  ## training and sampling speed of the convolutional networks, and against torchcfm, diffusers and a WGAN-GP script
	$(BIN)/python benchmarks/nets.py
	$(BIN)/python benchmarks/loops.py --peers $(PEERS)
	$(BIN)/python benchmarks/publish.py

quality: $(STAMP)  ## seconds until the FID that the course loop ends with, and both loops' last losses, over seeds (an hour)
	$(BIN)/python benchmarks/quality.py
	$(BIN)/python benchmarks/quality.py --models dcgan --epochs 3
	$(BIN)/python benchmarks/reused_noise.py
	$(BIN)/python benchmarks/publish.py

seed: $(STAMP)  ## six models, two data sets, three seeds, scored (hours on a CPU; it goes on where it was), into README and docs
	$(BIN)/counterfeit compare benchmarks/grids/seed.toml
	$(BIN)/python benchmarks/publish.py --comparison runs/seed/comparison.json

tuned: $(STAMP)  ## the recipes that a search found, over the seeds of the seed grid, into README and docs
	$(BIN)/counterfeit compare benchmarks/grids/tuned.toml
	$(BIN)/counterfeit compare benchmarks/grids/tuned-dcgan.toml
	$(BIN)/counterfeit compare runs/tuned --out runs/tuned
	$(BIN)/python benchmarks/publish.py --comparison runs/tuned/comparison.json

frontier: $(STAMP)  ## every model on three data sets: quality against minutes, for many hours; it can be stopped
	for grid in frontier better logistic paper hour long; do $(BIN)/counterfeit compare benchmarks/grids/$$grid.toml || exit 1; done
	$(BIN)/counterfeit compare benchmarks/grids/seed-fashion.toml
	$(BIN)/counterfeit compare runs/seed --out runs/seed
	$(BIN)/python benchmarks/cas.py runs/frontier/*-s0 runs/seed/cvae-*-s0
	$(BIN)/python benchmarks/minutes.py
	for grid in frontier better logistic paper hour long seed; do $(BIN)/python benchmarks/publish.py --comparison runs/$$grid/comparison.json || exit 1; done

stale: $(STAMP)  ## which published rows were trained by other code than today's
	$(BIN)/python benchmarks/stale.py

bits: $(STAMP)  ## the digests of every model's weights and samples after 200 steps, against those of the code before
	$(BIN)/python benchmarks/bits.py

memory: $(STAMP)  ## memory and time against the number of images in a folder, 10,000 to 200,000
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/publish.py

bombs: $(STAMP)  ## what files of strangers cost: .npz bombs, pictures of 88 million pixels, 18,000 classes, a deep tree
	$(BIN)/python benchmarks/bombs.py --out benchmarks/results/bombs.json
	$(BIN)/python benchmarks/publish.py

pairs: $(STAMP)  ## all models on mnist and cifar10, one epoch each: images/s and peak memory
	$(BIN)/python benchmarks/pairs.py
	$(BIN)/python benchmarks/publish.py

torture: $(STAMP)  ## runs and grids stopped, killed, out of room and in each other's way at 100 moments; all end bit-equal
	$(BIN)/pytest tests/test_kill.py tests/test_torture.py tests/test_engines.py tests/test_compare.py tests/test_signals.py -m torture -rP

# What else is a table of cases that nobody should have to think of.
CASES := tests/abuse $(addprefix tests/test_, values.py environments.py strangers.py data_npz.py data_bombs.py)
abuse: $(STAMP)  ## thousands of commands, files, images, signals, values and environments: no traceback, hang, loss or litter
	$(BIN)/pytest $(CASES) --hypothesis-profile=abuse -m 'not (full or browser or processes or ray)' --numprocesses auto --maxprocesses 4

gpu: $(STAMP)  ## on an NVIDIA card: the tests that need one, its speed and its scores
	$(BIN)/pytest tests/test_gpu.py -m gpu
	$(BIN)/python benchmarks/gpu.py
	$(BIN)/python benchmarks/publish.py

processes: $(STAMP)  ## jobs of two and three processes: trained, scored, killed, resumed, held against one process
	$(BIN)/pytest tests/test_processes.py tests/test_plugins.py -m 'processes or not processes' -rP

zoo: $(STAMP)  ## make zoo RUNS="runs/vae-mnist-s0 ...": finished runs into the zoo, in float16, scored as they ship
	$(BIN)/python benchmarks/zoo.py $(RUNS)

detectors: $(STAMP)  ## train the three shipped detectors again (most of an hour on 2 cores)
	$(BIN)/python benchmarks/train_detectors.py --data mnist
	$(BIN)/python benchmarks/train_detectors.py --data fashion-mnist
	$(BIN)/python benchmarks/train_detectors.py --data cifar10

checks: $(STAMP)  ## do the scores move the right way, is the ± right, are copies found, do ranks hold? (hours)
	$(BIN)/python benchmarks/score_checks.py
	$(BIN)/python benchmarks/floors.py
	$(BIN)/python benchmarks/copies.py
	$(BIN)/python benchmarks/calibration.py
	$(BIN)/python benchmarks/ranks.py
	$(BIN)/python benchmarks/publish.py

$(PEERS)/.installed:
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --constraint constraints.txt torch numpy pillow requests
	$(PEERS)/bin/pip install --quiet 'scipy<1.18' scikit-learn tqdm
	$(PEERS)/bin/pip install --quiet --no-deps timm==1.0.31 torchvision torch-fidelity==0.4.0 pytorch-fid==0.3.0 clean-fid==0.1.35 prdc==0.2 vendi-score==0.0.3
	$(PEERS)/bin/pip install --quiet pydantic imageio cloudpickle pyyaml huggingface_hub safetensors
	$(PEERS)/bin/pip install --quiet --no-deps pythae==0.1.2
	@touch $@

$(PEERS)/.flows: $(PEERS)/.installed
	$(PEERS)/bin/pip install --quiet pot huggingface_hub safetensors importlib_metadata regex
	$(PEERS)/bin/pip install --quiet --no-deps torchcfm==1.0.7 diffusers==0.42.1
	@touch $@

peers: $(PEERS)/.installed  ## the environment of those that we are compared with

parity: $(EXPORT) $(PEERS)/.installed  ## ask the peers for their numbers, and hold ours against them
	$(PEERS)/bin/python benchmarks/parity/peers.py
	$(PEERS)/bin/python benchmarks/parity/inception.py
	$(PEERS)/bin/python benchmarks/parity/dinov2.py
	$(BIN)/pytest tests/test_metrics_parity.py tests/test_detectors_parity.py
	$(BIN)/pytest tests/test_dinov2.py -m 'full or not full'
	$(BIN)/python benchmarks/parity/exported.py --peers $(PEERS)

full: $(STAMP)  ## the tests that need the large data sets, and every page of the docs
	$(BIN)/pytest -m full

clean:  ## remove the environment and build files
	rm -rf $(VENV) .venv-compat build dist .pytest_cache .mypy_cache .ruff_cache
