# SPDX-License-Identifier: Apache-2.0
# Two commands: `make demo` and `make test`. Each sets up what it needs in .venv, as an ordinary user, and the second
# time finds it there. `make help` lists the rest.

VENV := .venv
BIN := $(VENV)/bin
DONE := $(VENV)/.done
CONFIG ?= models/patrol/train.yaml
TESTS ?=
DATA := ../shared/data
# What may be said to the demo, as in: make demo FRAMES=folder BUNDLE=models/kitchen
DEMO_OPTIONS := FRAMES:frames-dir BUNDLE:bundle COUNT:frames TASKS:tasks RATE:rate DEADLINE_MS:deadline-ms \
  HOLD_MS:hold-ms CAPACITY_KBPS:capacity-kbps TRACE:trace SEED:seed OUT:out
ARGS ?=

say = @echo "nepi_ros: $(1)"
# VARIABLE:option as an option, if the variable is set on the command line: the environment may hold such names for
# other reasons.
variable = $(firstword $(subst :, ,$(1)))
given = $(if $(filter command,$(origin $(call variable,$(1)))),--$(lastword $(subst :, ,$(1))) "$($(call variable,$(1)))")
# The option is for older versions of pip: some packages are still source archives.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --use-pep517
# Both onnxruntime packages install the same modules, and the last one wins: so out with one, in with the other. All
# that is installed later asks for the one for CPUs again.
ort_gpu = $(BIN)/python -c 'from importlib.metadata import version; print(version("onnxruntime-gpu"))' 2>/dev/null
install = $(PIP_INSTALL) --editable '.[$(extras)]' && if version=$$($(ort_gpu)); then \
  $(BIN)/python -m pip uninstall --quiet --yes onnxruntime && \
  $(PIP_INSTALL) --force-reinstall --no-deps "onnxruntime-gpu==$$version"; fi

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test train bench lint gpu clean

help:
	@echo "make demo    play a camera through encoder, thin link and edge; report in out/demo"
	@echo "             FRAMES=folder plays your images, BUNDLE=models/kitchen takes another bundle; as well"
	@echo "             COUNT, TASKS, RATE, DEADLINE_MS, HOLD_MS, CAPACITY_KBPS, TRACE, SEED, OUT: see nepi demo --help"
	@echo "make test    run the tests; TESTS='test/test_cli.py -k help' runs some"
	@echo "make train   train a bundle; CONFIG=$(CONFIG)"
	@echo "make bench   compare the bundles with JPEG and others on DATA=$(DATA); report in out/bench"
	@echo "make lint    check the style of the source"
	@echo "make gpu     let the edge compute on an NVIDIA GPU"
	@echo "make clean   remove everything that was made here, .venv included"
	@echo "PYTHON=/path/to/python3 chooses the Python that .venv is made with."

clean:
	$(call say,removing .venv and build and out)
	@rm -rf $(VENV) build out .pytest_cache .ruff_cache .hypothesis *.egg-info
	@find nepi_ros test launch tools -name __pycache__ -type d -prune -exec rm -rf {} +

ifneq ($(and $(ROS_DISTRO),$(AMENT_PREFIX_PATH)),)

# The wheels of PyPI and an installed ROS 2 must not be mixed in one process.
demo test train bench lint gpu:
	@echo "nepi_ros: ROS 2 $(ROS_DISTRO) is active in this shell, so the wheels from PyPI stay out of it. In your workspace:" >&2
	@echo "  rosdep install --from-paths src --ignore-src -y && colcon build --packages-select nepi_ros" >&2
	@echo "  source install/setup.bash" >&2
	@echo "  ros2 launch nepi_ros demo.launch.py      or      colcon test --packages-select nepi_ros" >&2
	@echo "To use the wheels all the same, start from a shell without ROS: env -u ROS_DISTRO -u AMENT_PREFIX_PATH make $@" >&2
	@exit 2

else

demo: $(DONE)/messages
	$(call say,running the demo)
	@$(BIN)/nepi demo $(foreach option,$(DEMO_OPTIONS),$(call given,$(option)))

test: $(DONE)/messages $(DONE)/test
	$(call say,running the tests)
	@$(BIN)/python -m pytest $(TESTS)

train: $(DONE)/messages $(DONE)/test
	$(call say,training $(CONFIG))
	@$(BIN)/nepi train "$(CONFIG)" $(ARGS)

bench: $(DONE)/messages $(DONE)/bench
	$(call say,measuring (finished points are kept in out/bench and not measured again))
	@tools/bench.sh $(BIN)/nepi "$(DATA)" out/bench

lint: $(DONE)/test
	$(call say,checking the style)
	@$(BIN)/ruff check .

gpu: private extras = ros,gpu
gpu: $(DONE)/messages
	$(call say,installing onnxruntime for NVIDIA GPUs in place of the one for CPUs)
	@$(install)
	@$(BIN)/python -c 'import onnxruntime; print("nepi_ros: providers:", *onnxruntime.get_available_providers())'

# Steps of the set-up. A stamp file is newer than what its step was made from; an interrupted step leaves none.

$(DONE)/venv:
	@python=$$(tools/find_python.sh) && echo "nepi_ros: making $(VENV) with $$python" && \
	  "$$python" -m venv $(VENV) && mkdir -p $(DONE) && touch $@

$(DONE)/base: private extras = ros
$(DONE)/base: setup.py $(DONE)/venv
	$(call say,installing ROS 2 and the other packages into $(VENV) (a few minutes the first time))
	@$(install)
	@touch $@

$(DONE)/test: private extras = ros,train,test
$(DONE)/test: setup.py $(DONE)/base
	$(call say,installing what training and tests need (torch is large))
	@$(install)
	@touch $@

$(DONE)/bench: private extras = ros,bench
$(DONE)/bench: setup.py $(DONE)/base
	$(call say,installing what the bench needs)
	@$(install)
	@touch $@

$(DONE)/messages: $(wildcard msg/*.msg) CMakeLists.txt package.xml tools/wheel_prefix.py $(DONE)/base
	@tools/find_compiler.sh
	$(call say,generating and compiling the ROS messages)
	@$(BIN)/python tools/wheel_prefix.py
	@touch $@

endif
