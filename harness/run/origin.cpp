#include "harness/run/origin.h"

#include <elf.h>
#include <link.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "harness/base/error.h"
#include "harness/observe/run_files.h"
#include "harness/run/checkouts.h"

namespace samebits {
namespace {

namespace fs = std::filesystem;

// The build id of a loaded library; "" where the linker wrote none.
std::string build_id_of(const dl_phdr_info& info) {
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const ElfW(Phdr)& header = info.dlpi_phdr[i];
    if (header.p_type != PT_NOTE) continue;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): the loader tells addresses as integers
    const char* at = reinterpret_cast<const char*>(info.dlpi_addr + header.p_vaddr);
    const char* end = at + header.p_memsz;
    while (at + sizeof(ElfW(Nhdr)) <= end) {
      const auto* note = reinterpret_cast<const ElfW(Nhdr)*>(at);
      const auto padded = [](size_t size) { return (size + 3) / 4 * 4; };
      const char* name = at + sizeof(ElfW(Nhdr));
      const auto* value = reinterpret_cast<const unsigned char*>(name + padded(note->n_namesz));
      if (note->n_type == NT_GNU_BUILD_ID && std::string_view(name, 3) == "GNU") {
        std::string hex;
        constexpr char kDigits[] = "0123456789abcdef";
        for (size_t byte = 0; byte < note->n_descsz; ++byte) {
          hex += kDigits[value[byte] >> 4];
          hex += kDigits[value[byte] & 15];
        }
        return hex;
      }
      at = reinterpret_cast<const char*>(value) + padded(note->n_descsz);
    }
  }
  return "";
}

// Which file a library is. One without a build id is known by its size.
std::string identity_of(const dl_phdr_info& info) {
  const std::string id = build_id_of(info);
  if (!id.empty()) return "build id " + id;
  std::error_code error;
  const auto size = fs::file_size(info.dlpi_name, error);
  return error ? "unknown" : std::to_string(size) + " bytes";
}

// The libraries that compute: LibTorch's, by name.
std::map<std::string, std::string> libraries() {
  std::map<std::string, std::string> found;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* data) {
        const std::string name = fs::path(info->dlpi_name).filename().string();
        const bool computes = name.starts_with("libtorch") || name.starts_with("libc10") ||
                              name.starts_with("libcublas");
        if (computes) (*static_cast<decltype(found)*>(data))[name] = identity_of(*info);
        return 0;
      },
      &found);
  return found;
}

// The files of a folder that a model, its tokenizer or its settings are read from.
Json digests_of_model(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const std::string kind = entry.path().extension().string();
    const bool is_read = kind == ".json" || kind == ".safetensors" || kind == ".txt";
    if (is_read && entry.is_regular_file()) files.push_back(entry.path());
  }
  if (error) throw InputError(folder.string(), error.message(), "the folder of a model");
  std::sort(files.begin(), files.end());
  Json digests = Json::object();
  for (const fs::path& file : files) {
    digests[file.filename().string()] = run_files::digest_of_file(file);
  }
  return digests;
}

// The files that a command line names, the commit, and the files of a recording. What a program reads besides is
// its own affair: taken up, it must observe the same again.
Json digests_of_program(const CaseArm& arm) {
  const ProgramSettings& program = arm.program;
  Json digests = Json::object();
  const auto add = [&](const fs::path& file, const std::string& name) {
    if (fs::is_regular_file(file)) digests[name] = run_files::digest_of_file(file);
  };
  if (program.is_of_commit()) digests["commit " + program.commit] = commit_of(arm);
  for (const std::string& each : program.command) {
    const bool is_in_checkout = program.is_of_commit() && fs::path(each).is_relative();
    if (!is_in_checkout) add(program.cwd / each, each);
  }
  if (program.recorded.empty()) return digests;
  add(program.recorded, program.recorded.filename().string());  // a log
  for (int64_t rank = 0; fs::exists(run_files::stream(program.recorded, rank)); ++rank) {
    const fs::path stream = run_files::stream(program.recorded, rank);
    add(stream, stream.filename().string());
  }
  return digests;
}

}  // namespace

Json program_origin() {
  return {{"samebits", run_files::digest_of_file("/proc/self/exe")}, {"libraries", libraries()}};
}

Json origin_of(const Case& c, Level level) {
  Json models = Json::object();
  Json graphs = Json::object();
  Json tokens = Json::object();
  Json rollouts = Json::object();
  Json packages = Json::object();
  Json programs = Json::object();
  for (const CaseArm& arm : c.arms) {
    if (arm.is_program()) {
      programs[arm.name] = digests_of_program(arm);
      continue;
    }
    const std::string model = Json::parse(arm.canonical).at("model").get<std::string>();
    if (!models.contains(model)) models[model] = digests_of_model(arm.model);
    if (!arm.workload.tokens.empty()) {
      tokens[arm.name] = run_files::digest_of_file(arm.workload.tokens);
    }
    if (!arm.workload.rollouts.empty()) {
      rollouts[arm.name] = run_files::digest_of_file(arm.workload.rollouts);
    }
    if (!arm.generator.graph.empty())
      graphs[arm.name] = run_files::digest_of_file(arm.generator.graph);
    for (const SideSettings* side : {&arm.generator, &arm.trainer}) {
      if (side->package.empty()) continue;
      packages[arm.name][side == &arm.generator ? "generator" : "trainer"] =
          run_files::digest_of_file(side->package);
    }
  }
  const Json program = program_origin();
  return {{"level", to_string(level)},
          {"samebits", program.at("samebits")},
          {"libraries", program.at("libraries")},
          {"models", std::move(models)},
          {"graphs", std::move(graphs)},
          {"tokens", std::move(tokens)},
          {"rollouts", std::move(rollouts)},
          {"packages", std::move(packages)},
          {"programs", std::move(programs)}};
}

}  // namespace samebits
