# Writes the Lua files of the queue, one after the other, as a C array:
#   cmake "-DIN=FILE;FILE" -DOUT=FILE.c -DNAME=symbol -P embed.cmake
# All are one chunk, and a Lua function may have 200 locals, so each file after the first is wrapped in do ... end: its
# locals are private, and shared names are declared in the first. `do` and `end` are added to lines of the files
# themselves, so an error's line is found by counting lines of the files alone.
set(bytes "")
set(open "")
foreach(file ${IN})
  file(READ ${file} part HEX)
  string(APPEND bytes "${open}${part}")
  if(open STREQUAL "")
    set(open "646f20") # "do "
    set(close "")
  else()
    string(APPEND bytes "656e64 0a") # "end"
  endif()
endforeach()
string(REPLACE " " "" bytes "${bytes}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
file(WRITE ${OUT} "extern const char ${NAME}[];\nconst char ${NAME}[] = {\n${bytes}0x00};\n")
