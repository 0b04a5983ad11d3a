#!/bin/bash
# Prepares the models, builds the engines that this GPU lacks, and serves. Everything is kept in /models.
set -euo pipefail
engines() { PYTHONPATH="$PYTHONPATH:/opt/pinakes/builder" python3 -m triton_models.engines "$@" --cache /models; }

engines build
engines repository --out /tmp/repository --without generate

# Bound inside the container only; who may reach it is said by what starts the container.
exec tritonserver \
  --model-repository=/tmp/repository \
  --model-control-mode=explicit \
  --load-model='*' \
  --disable-auto-complete-config \
  --allow-http=false \
  --grpc-address=0.0.0.0 \
  --grpc-port=8001 \
  --grpc-restricted-protocol="model-repository,shared-memory,statistics,trace,logging:pinakes=${TRITON_CONTROL_TOKEN:?set it to a secret of your own}" \
  --metrics-address=0.0.0.0 \
  --metrics-port=8002 \
  --exit-timeout-secs=20 \
  "$@"
