#include "harness/bits/safetensors.h"
#include "harness/logs/readers.h"

namespace samebits {

Log read_safetensors(const LogInput& input) {
  LogBuilder log(input.file, input.settings, "tensor");
  const SafetensorsFile file(std::as_bytes(std::span(input.bytes)), input.file);
  for (size_t i = 0; i < file.tensors().size(); ++i) {
    const TensorView& tensor = file.tensors()[i];
    log.add_tensor(/*step=*/0, log.site(tensor.name, i), tensor.dtype, tensor.shape,
                   tensor.data.data(), i);
  }
  return log.finish("safetensors");
}

}  // namespace samebits
