# The mho server.
#
#   docker build -t mho .                          CPU
#   docker build -t mho --build-arg EXTRA=gpu .    NVIDIA GPU, with CUDA and cuDNN as wheels
#   docker run --network host -v mho-data:/data --stop-timeout 30 mho
#
# Without TLS and authentication the server listens on loopback only: with `--network host` that is
# the host's loopback, and a published port (`-p`) reaches nothing. docs/operations.md says how to
# set them up. The container's check of its own health takes MHO_CA, MHO_CERT and MHO_KEY, and the
# certificate must hold for localhost as well.

FROM python:3.12-slim AS build
ARG EXTRA=cpu
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY clients/python clients/python
COPY service service
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels ./clients/python .
# By path, so that nothing of the same name is taken from an index.
RUN python -m venv /opt/mho \
    && cuda="" && if [ "$EXTRA" = gpu ]; then cuda="onnxruntime-gpu[cuda,cudnn]"; fi \
    && /opt/mho/bin/pip install --no-cache-dir /wheels/mho_client-*.whl \
        "$(echo /wheels/mho-*.whl)[$EXTRA]" $cuda \
    && /opt/mho/bin/python -m compileall -q /opt/mho/lib

FROM python:3.12-slim
RUN useradd --uid 10001 --create-home mho \
    && install --directory --owner=mho --mode=0700 /data
COPY --from=build /opt/mho /opt/mho
ENV PATH=/opt/mho/bin:$PATH PYTHONUNBUFFERED=1 MHO_DATA_DIR=/data MHO_PORT=50061
USER mho
WORKDIR /data
VOLUME /data
EXPOSE 50061
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python", "-c", "\
import os; from mho_client import Client; \
assert Client('localhost:' + os.environ['MHO_PORT'], retry_seconds=0).health() == 'SERVING'"]
ENTRYPOINT ["mho", "serve"]
