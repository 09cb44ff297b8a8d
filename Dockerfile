# docker build -t arxivcli .
# docker run --rm -v "$PWD:/papers" arxivcli classify paper.json
# NVIDIA: --build-arg TORCH_BACKEND=cu128 (run with --gpus all).  AMD: --build-arg TORCH_BACKEND=rocm6.4.
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS build
ARG TORCH_BACKEND=cpu
ENV UV_COMPILE_BYTECODE=1 UV_NO_CACHE=1 VIRTUAL_ENV=/opt/arxivcli
RUN pip install --no-cache-dir uv && uv venv "$VIRTUAL_ENV"
WORKDIR /source
# The dependencies first: they stay in the layer cache when only our own code changes.
COPY pyproject.toml ./
RUN uv pip install --torch-backend="$TORCH_BACKEND" -r pyproject.toml
COPY README.md LICENSE ./
COPY arxivcli ./arxivcli
RUN uv pip install --no-deps .

FROM python:${PYTHON}-slim
RUN useradd --create-home --uid 1000 arxivcli
COPY --from=build /opt/arxivcli /opt/arxivcli
ENV PATH="/opt/arxivcli/bin:$PATH"
USER arxivcli
WORKDIR /papers
ENTRYPOINT ["arxivcli"]
CMD ["--help"]
