# Run at build time (cmake -P): writes build_info.h, and only when something in it has changed.
execute_process(
  COMMAND git describe --always --dirty --abbrev=12 --exclude=*
  WORKING_DIRECTORY ${SOURCE} OUTPUT_VARIABLE COMMIT ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
if(NOT COMMIT)
  set(COMMIT unknown)
endif()
configure_file(${SOURCE}/harness/base/build_info.h.in ${OUTPUT} @ONLY)
