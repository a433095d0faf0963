#!lua name=ddq
