"""Networks as TensorRT engines: `python -m triton_models.engines build`.

profiles/gpu.toml         which networks, with which shapes, in which precision    deployment.py
      |
float ONNX of a network   (networks.py)  --->  engine  (toolkit.py, tensorrt_toolkit.py)
      |                                           |
ONNX Runtime in float32   ------ agree? ----------+   (acceptance.py)
                                                  |
engines/<key>/            whole or not at all     (cache.py)
                                                  |
Triton's repository       model.plan, config.pbtxt (repository.py)
"""
