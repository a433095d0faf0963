# What all folders share: compiler options as the target ddq_options, and the functions ddq_room and ddq_program.
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Debug, Release, RelWithDebInfo" FORCE)
endif()
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
foreach(type RELEASE RELWITHDEBINFO) # asserts guard what cannot happen and stay on in release builds
  string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_${type} "${CMAKE_C_FLAGS_${type}}")
endforeach()

if(DDQ_RELOCATABLE)
  set(CMAKE_POSITION_INDEPENDENT_CODE ON)
  set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
  set(CMAKE_BUILD_RPATH_USE_ORIGIN ON)
endif()

add_library(ddq_options INTERFACE)
target_include_directories(ddq_options INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_definitions(ddq_options INTERFACE _GNU_SOURCE DDQ_VERSION="${PROJECT_VERSION}")
target_compile_options(ddq_options INTERFACE
  "$<$<COMPILE_LANGUAGE:C,CXX>:-Wall;-Wextra;-Wshadow;-Wconversion;-Wno-sign-conversion;-fno-math-errno>"
  "$<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes;-Wmissing-prototypes>")
if(DDQ_WERROR)
  target_compile_options(ddq_options INTERFACE
    "$<$<COMPILE_LANGUAGE:C,CXX>:-Werror>" "$<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings>")
endif()
if(DDQ_SANITIZE)
  target_compile_options(ddq_options INTERFACE
    -fsanitize=${DDQ_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
  string(REGEX REPLACE ",?fuzzer-no-link" "" sanitize_link "${DDQ_SANITIZE}")
  target_link_options(ddq_options INTERFACE -fsanitize=${sanitize_link})
endif()

# ddq_room(NAME [SOURCES file...] [DEPENDS room...] [LINKS library...])
# The static library ddq_NAME of this folder's .c files (but main.c). It can use its DEPENDS and nothing else: where
# tests are built, room_NAME links all of it with its DEPENDS alone, so a call to a room that is not among them fails
# the build. scripts/check-rooms checks the same for includes.
function(ddq_room name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS;LINKS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS *.c)
  list(FILTER sources EXCLUDE REGEX "/main\\.c$")
  if(DDQ_RELOCATABLE AND name MATCHES "^(core|kernels)$") # so that tests share one copy of the GPU's code
    add_library(ddq_${name} SHARED ${sources} ${arg_SOURCES})
  else()
    add_library(ddq_${name} STATIC ${sources} ${arg_SOURCES})
  endif()
  list(TRANSFORM arg_DEPENDS PREPEND ddq_)
  target_link_libraries(ddq_${name} PUBLIC ddq_options ${arg_DEPENDS} PRIVATE ${arg_LINKS} m)
  if(DDQ_TESTS AND NOT DDQ_SANITIZE AND NOT DDQ_RELOCATABLE)
    add_executable(room_${name} ${CMAKE_SOURCE_DIR}/cmake/empty.c)
    target_link_libraries(room_${name} PRIVATE -Wl,--whole-archive $<TARGET_FILE:ddq_${name}> -Wl,--no-whole-archive
                          ddq_${name})
    set_target_properties(room_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/rooms)
  endif()
endfunction()

# ddq_program(NAME ROOM): this folder's main.c over its room.
function(ddq_program name room)
  add_executable(${name} main.c)
  target_link_libraries(${name} PRIVATE ddq_${room})
  install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()
